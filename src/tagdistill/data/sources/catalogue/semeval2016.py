"""SemEval-2016 task 5, files of your own: errors say where to ask for them."""

from __future__ import annotations

from tagdistill.data.sources.source import OwnFiles


class Semeval2016(OwnFiles):
    """Restaurant reviews that may not be passed on."""

    format = "semeval_xml"
    where_to_ask = (
        "SemEval-2016 task 5 may not be passed on. Ask for subtask 1, restaurants, at META-SHARE "
        "(https://alt.qcri.org/semeval2016/task5/ names the form of each language)."
    )
    terms = "non-commercial research use, under the terms of META-SHARE (check those of each language)"


SOURCE = Semeval2016()
