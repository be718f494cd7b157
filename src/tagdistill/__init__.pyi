from tagdistill.tagger.tagger import Tagger as Tagger

__version__: str
