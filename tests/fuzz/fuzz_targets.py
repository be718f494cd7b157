"""What is fuzzed: each target reads bytes, with some options, and may fail with an error of ours alone."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import sys
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from tagdistill.artifacts.files import read_json
from tagdistill.data.archives import extract, tar_member
from tagdistill.data.corpus import read_corpus
from tagdistill.data.labels import spans
from tagdistill.data.prepare import prepare
from tagdistill.data.schemes import BadTag, to_bioes
from tagdistill.distill.score_table import read_scores
from tagdistill.distill.target_table import read_targets
from tagdistill.encoders.store import read_metadata
from tagdistill.errors import TagdistillError
from tagdistill.evaluation.metrics_file import read_record
from tagdistill.experiment.config import read_experiment
from tagdistill.settings.language import SPLITS, Language
from tagdistill.settings.names import FORMATS, Scheme, names_in
from tagdistill.settings.validation import validate

ROOT = Path(__file__).parents[2]
SCHEMES = list(get_args(Scheme))
Options = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """One thing to fuzz: the bytes that it begins with, its options, and what reads them."""

    seeds: Callable[[], Sequence[bytes]]
    options: st.SearchStrategy[Options]
    run: Callable[[bytes, Options, Path], None]
    share: int  # of the inputs


# -- readers of corpora, with the options of a language

TEXTS = {
    "conll": [
        b"-DOCSTART- -X- O\n\nEU N B-ORG\nsoft N I-ORG\n\nAnn N I-PER\n",
        b"# id = 1\n1\tAda\tB-PER\n2\tLovelace\tI-PER\n3\t.\tO\n\n1\tOslo\tS-LOC\n",
        b"a O\nb U-PER\n\nc B-LOC\nd L-LOC\n",
    ],
    "conllu": [
        b"# text = au\n1-2\tau\t_\t_\t_\t_\t_\t_\t_\t_\n"
        b"1\ta\ta\tADP\t_\t_\t0\troot\t_\t_\n2\tle\tle\tDET\t_\t_\t1\tdet\t_\t_\n\n"
    ],
    "wikiann": [b"fa::\tO\nfa:a\tB-PER\n\nfa:b\tI-LOC\n"],
    "semeval_xml": [
        b'<Reviews><Review><sentences><sentence id="1"><text>Good pizza.</text><Opinions>'
        b'<Opinion target="pizza" from="5" to="10"/></Opinions></sentence></sentences></Review></Reviews>',
        b'<sentences><sentence id="1"><text>Good pizza.</text><aspectTerms>'
        b'<aspectTerm term="pizza" polarity="positive" from="5" to="10"/></aspectTerms></sentence></sentences>',
    ],
    "text": [b"Ada sings in Oslo .\n\nBob too\n"],
    "jsonl": [
        b'{"tokens": ["Ada", "sings"], "tags": ["B-PER", "O"]}\n{"tokens": ["x"], "tags": ["O"]}\n',
        b'{"text": "Ada sings.", "label": [[0, 3, "PER"]]}\n',
        b'{"text": "Ada sings.", "spans": [{"start": 0, "end": 3, "label": "PER"}]}\n',
    ],
}


def parquet(**columns: object) -> bytes:
    """Return the bytes of a Parquet file."""
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression="none")
    return out.getvalue()


@cache
def texts() -> dict[str, list[bytes]]:
    """Return the seeds of every format: our own, and what lies in the folders that TAGDISTILL_FUZZ_SEEDS names."""
    found = {name: list(TEXTS.get(name, [b"a O\n"])) for name in names_in(FORMATS)}
    found["parquet"] = [
        parquet(tokens=[["Ada", "sings"], ["x"]], ner_tags=[["B-PER", "O"], ["O"]]),
        parquet(tokens=[["Ada"]], tags=[[1]]),
    ]
    for folder in filter(None, os.environ.get("TAGDISTILL_FUZZ_SEEDS", "").split(os.pathsep)):
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file() and file.stat().st_size < 1 << 24:
                found[kind_of(file)].append(file.read_bytes()[:3000])
    found["conll"] += [gzip.compress(found["conll"][0])]
    return found


def kind_of(file: Path) -> str:
    """Return the format that a file's name speaks of."""
    endings = {".conllu": "conllu", ".xml": "semeval_xml", ".jsonl": "jsonl", ".txt": "text", ".parquet": "parquet"}
    kind = endings.get(file.suffix, "conll")
    return kind if kind in names_in(FORMATS) else "conll"


def run_reader(data: bytes, options: Options, folder: Path) -> None:
    """Prepare a file, and read the corpus that was made of it."""
    rest = dict(options)
    task, split = rest.pop("task"), rest.pop("split")
    raw, out = folder / f"raw{rest.pop('ending')}", folder / "corpus.parquet"
    raw.write_bytes(data)
    labels = {"pos": "upos", "ner": ("PER", "LOC", "ORG"), "aspect": ("TARGET",)}[task]
    try:
        language = validate(Language, dict.fromkeys(SPLITS, raw.name) | rest, "x")
        prepare(raw, out, language="x", split=split, settings=language, task=task, labels=labels)
    except TagdistillError as error:
        check_message(error)
        assert not out.exists()
        return
    corpus = read_corpus(out)
    assert all(token for sentence in corpus.tokens for token in sentence)
    for tags in corpus.labels or []:
        spans(tags)


def check_message(error: TagdistillError) -> None:
    """A message reaches a terminal as it is: without what moves a cursor, and of a length that one reads."""
    text = str(error)
    assert not [c for c in text if (ord(c) < 32 and c not in "\n\t") or 127 <= ord(c) < 160], (
        f"control characters: {text!r}"
    )
    assert len(text) < 6000, f"{len(text)} characters"


def optional(**choices: Sequence[Any]) -> st.SearchStrategy[Options]:
    """Draw a mapping that has each of these keys or not."""
    return st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in choices.items()})


def reader_options() -> st.SearchStrategy[Options]:
    """Draw the options of a language; most are left as they are."""
    always = st.fixed_dictionaries(
        {
            "format": st.sampled_from(names_in(FORMATS)),
            "task": st.sampled_from(["ner", "ner", "pos", "aspect"]),
            "split": st.sampled_from(["train", "test", "unlabelled"]),
            "ending": st.sampled_from(["", "", ".conll", ".gz"]),
        }
    )
    known = set(Language.model_fields)
    sometimes = {
        "scheme": SCHEMES,
        "separator": ["auto", "tab", "space"],
        "comment": ["#", "# "],
        "columns": [{"token": 1, "tag": 2}, {"token": 0, "tag": 1}, {"token": 5, "tag": -2}],
        "encoding": ["utf-8", "latin-1", "utf-16"],
        "label_map": [{"B-X": "O"}, {"PER": "LOC"}, {"*": "O"}],
        "strict": [True],
        "broken": ["refuse", "leave_out"],
        "skip_lines": [1, 2],
    }
    drawn = optional(**{name: values for name, values in sometimes.items() if name in known})
    return st.tuples(always, drawn).map(lambda pair: pair[0] | pair[1])


# -- configs


def config_seeds() -> list[bytes]:
    """Return the configs of this repository, cut to a size that is quick to read."""
    return [file.read_bytes() for file in sorted((ROOT / "config").rglob("*.yaml")) if file.stat().st_size < 4000]


def run_config(data: bytes, _: Options, folder: Path) -> None:
    path = folder / "study.yaml"
    path.write_bytes(data)
    try:
        read_experiment(path)
    except TagdistillError as error:
        check_message(error)


# -- labels

TAGS = st.lists(
    st.tuples(
        st.sampled_from(["B-", "I-", "E-", "S-", "L-", "U-", "M-", "O", "", "X-"]),
        st.sampled_from(["PER", "A-B", "", "O"]),
    )
    .map("".join)
    .map(lambda tag: tag if not tag.startswith("O") else "O"),
    max_size=12,
)


def run_labels(_: bytes, options: Options, folder: Path) -> None:
    """Any tags become well-formed spans, or are refused; what was converted once stays as it is."""
    try:
        labels, repaired = to_bioes(options["tags"], options["scheme"], options.get("label_map"))
    except BadTag:
        return
    assert len(labels) == len(options["tags"]) and all(0 <= place < len(labels) for place in repaired)
    assert to_bioes(labels, "BIOES") == (labels, [])


# -- files of our own, damaged


def table_seeds() -> list[bytes]:
    """Return a corpus, scores and targets as we write them."""
    from own_files import corpus_bytes, scores_bytes, targets_bytes

    return [corpus_bytes(), scores_bytes(), targets_bytes()]


def run_tables(data: bytes, _: Options, folder: Path) -> None:
    path = folder / "table.parquet"
    path.write_bytes(data)
    for read in (read_corpus, read_scores, read_targets):
        try:
            columns = read(path)
            list(zip(columns.ids, getattr(columns, "tokens", columns.ids), strict=False))
        except TagdistillError as error:
            check_message(error)


def json_seeds() -> list[bytes]:
    from own_files import metrics_bytes, store_bytes

    return [metrics_bytes(), store_bytes(), b'{"kind": "tagger", "format": 2}']


def run_json(data: bytes, _: Options, folder: Path) -> None:
    path = folder / "record.json"
    path.write_bytes(data)
    for read in (read_json, lambda file: read_record(file, "students/m/seed-0", "x"), read_metadata):
        try:
            read(path)
        except TagdistillError as error:
            check_message(error)


# -- archives


def archive_seeds() -> list[bytes]:
    """Return archives with a member `train`, in two formats."""
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("folder/train", "a O\n")
    with tarfile.open(fileobj=tarred, mode="w:gz") as archive:
        member = tarfile.TarInfo("train")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"a O\n"))
    return [zipped.getvalue(), tarred.getvalue(), gzip.decompress(tarred.getvalue())]


def run_archive(data: bytes, _: Options, folder: Path) -> None:
    path, out = folder / "archive", folder / "out" / "train"
    path.write_bytes(data)
    try:
        extract(path, "train", out, limit=1 << 20)
    except TagdistillError as error:
        check_message(error)
    try:
        with tar_member(io.BytesIO(data), "train", "archive", limit=1 << 20) as member:
            member.read()
    except TagdistillError as error:
        check_message(error)
    names = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert names <= {"archive", "out/train"}, f"written: {names}"


# -- the command line

VALUES = [
    "",
    "-",
    "x",
    "0",
    "-1",
    "tab",
    "auto",
    "conll",
    "text",
    "jsonl",
    "conllu",
    "html",
    "blanks",
    "torch",
    "IOB2",
    "a=b",
    "token=0,tag=9",
    "#",
    "utf-8",
    "utf-99",
    "\x1b[2J",
    "FILE",
    "MODEL",
    "OUT",
]
FLAGS = [
    "--format",
    "--separator",
    "--columns",
    "--comment",
    "--encoding",
    "--encoder",
    "--device",
    "--threads",
    "--constrained",
    "--to",
    "--split",
    "--precision",
    "--output",
    "--model",
    "--no-such",
]


def command_options() -> st.SearchStrategy[Options]:
    words = st.lists(st.tuples(st.sampled_from(FLAGS), st.sampled_from(VALUES)), max_size=4)
    return st.fixed_dictionaries({"command": st.sampled_from(["predict", "evaluate"]), "rest": words})


def run_command(data: bytes, options: Options, folder: Path) -> None:
    """Give a command line; it ends with 0, 1 or 2 and never with a defect."""
    from own_files import tagger_folder

    from tagdistill.cli.main import DEFECT, main

    file, out = folder / "text", folder / "out"
    file.write_bytes(data)
    places = {"FILE": str(file), "MODEL": str(tagger_folder()), "OUT": str(out)}
    words = [places.get(word, word) for pair in options["rest"] for word in pair]
    base = [options["command"], str(file), "--model", places["MODEL"]]
    base += ["--output", str(out)] if options["command"] == "predict" else []
    said = io.StringIO()
    sys.argv = ["tagdistill", *base, *words]
    code: object = 0
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said), contextlib.chdir(folder):
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
    assert code in (0, 1, 2) and DEFECT not in said.getvalue(), said.getvalue()[-2000:]
    assert "\x1b[2J" not in said.getvalue()


NONE: st.SearchStrategy[Options] = st.just({})
LABEL_OPTIONS = st.fixed_dictionaries(
    {"tags": TAGS, "scheme": st.sampled_from(SCHEMES)},
    optional={"label_map": st.sampled_from([{"PER": "O"}, {"*": "O"}, {"A-B": "PER"}])},
)
TARGETS = {
    "readers": Target(lambda: [seed for seeds in texts().values() for seed in seeds], reader_options(), run_reader, 50),
    "configs": Target(config_seeds, NONE, run_config, 12),
    "labels": Target(lambda: [b""], LABEL_OPTIONS, run_labels, 14),
    "tables": Target(table_seeds, NONE, run_tables, 10),
    "json": Target(json_seeds, NONE, run_json, 6),
    "archives": Target(archive_seeds, NONE, run_archive, 6),
    "commands": Target(
        lambda: [seed for seeds in texts().values() for seed in seeds], command_options(), run_command, 2
    ),
}
assert sum(target.share for target in TARGETS.values()) == 100
