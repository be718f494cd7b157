"""CoNLL-2003, files of your own: errors say where to ask for them."""

from __future__ import annotations

from tagdistill.data.sources.source import OwnFiles


class Conll2003(OwnFiles):
    """English and German text that may not be passed on."""

    where_to_ask = (
        "CoNLL-2003 may not be passed on. English: the annotations are at https://www.clips.uantwerpen.be/conll2003/"
        "ner/, the text is Reuters RCV1, from NIST on request (https://trec.nist.gov/data/reuters/reuters.html). "
        "German: the text is the ECI corpus of the LDC (https://catalog.ldc.upenn.edu/LDC94T5)."
    )
    terms = "research use only: text of Reuters (en) or the ECI corpus (de), under agreements of their own"


SOURCE = Conll2003()
