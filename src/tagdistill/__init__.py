"""Structure-level knowledge distillation of multilingual sequence taggers (Wang et al., ACL 2020)."""

__version__ = "0.1.0"
