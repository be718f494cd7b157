"""Structure-level knowledge distillation of multilingual sequence taggers (Wang et al., ACL 2020)."""

from importlib.metadata import version

__version__ = version("tagdistill")  # of pyproject.toml
