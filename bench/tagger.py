"""Raw text to labels, from start to end: a student in torch and as graphs, Hugging Face's pipeline, flair, spaCy.

    python bench/tagger.py --student results/demo/students/posterior/seed-0/model --data results/demo/data \
      --path build/peers --json build/bench/tagger.json

Every row runs in a process of its own on one thread, and rows take turns, round after round over the same sentences.
Hugging Face's pipeline is the same layers of the same encoder with a linear layer on top, at the best of some batch
sizes; flair is its tagger (BiLSTM-CRF of the student's size) on the word vectors that the student reads; spaCy is its
transformer pipeline on the same encoder with its usual component for named entities, at the best batch size, too. These
three are not trained: only their speed is of use.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

ROWS = ("graph, int8", "graph, fp32", "torch", "pipeline", "flair", "spaCy")
BATCH_SIZES = (1, 8, 32)  # that pipelines are tried with
TRIED = 40  # texts of each trial
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}
Label = Callable[[list[str]], Any]


def ours(folder: Path, precision: str) -> Label:
    from tagdistill import Tagger

    return Tagger.from_pretrained(folder / "export", precision=precision, threads=1)


def pipeline(folder: Path) -> Label:
    import torch
    from transformers import AutoModelForTokenClassification, PreTrainedTokenizerFast
    from transformers import pipeline as make

    torch.set_num_threads(1)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "pipeline/tokenizer.json"))
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(json.loads((folder / "pad.json").read_text()))
    # The file holds half precision, in which a CPU is slow.
    model = AutoModelForTokenClassification.from_pretrained(folder / "pipeline", dtype=torch.float32).eval()
    return make("token-classification", model=model, tokenizer=tokenizer, aggregation_strategy="simple")


def best_batches(label: Label, texts: list[str]) -> Label:
    """Return a pipeline at its fastest batch size."""
    sizes: dict[float, int] = {}
    for size in BATCH_SIZES:
        begin = time.process_time()
        label(texts[:TRIED], batch_size=size)  # type: ignore[call-arg]
        sizes[time.process_time() - begin] = size
    best = sizes[min(sizes)]
    return lambda given: label(given, batch_size=best)  # type: ignore[call-arg]


def flair(folder: Path) -> Label:
    import torch
    from peer_files import flair_module

    from tagdistill.encoders.pieces import WordPieces
    from tagdistill.encoders.pooling import pool
    from tagdistill.tagger.torch_backend import TorchBackend

    torch.set_num_threads(1)
    data, tagger = flair_module("data"), flair_module("models.sequence_tagger_model")
    backend = TorchBackend(folder / "export")
    words, spec = WordPieces.load(backend.place), backend.loaded.model.tagger.spec

    class Vectors(flair_module("embeddings.base").TokenEmbeddings):  # type: ignore[misc]
        """The student's word vectors."""

        name = "vectors"
        embedding_length = spec.inputs

        def _add_embeddings_internal(self, sentences: Any) -> None:
            pieces = words([[token.text for token in sentence] for sentence in sentences])
            batch = pieces.batch(pieces.windows_of(range(len(sentences))))
            states = torch.stack(backend.encoder.hidden_states(batch.ids, batch.mask, backend.taps)).mean(0)
            vectors = pool(states, batch, backend.settings.pooling)
            for token, vector in zip((token for sentence in sentences for token in sentence), vectors, strict=True):
                token.set_embedding("vectors", vector)

    labels = data.Dictionary(add_unk=False)
    for name in spec.labels:
        labels.add_item(name)
    made = tagger.SequenceTagger(Vectors(), labels, "gold", hidden_size=spec.hidden, reproject_embeddings=False).eval()

    def label(texts: list[str]) -> Any:
        sentences = [data.Sentence(text.split(), use_tokenizer=False) for text in texts]
        with torch.inference_mode():
            made.predict(sentences, mini_batch_size=16, label_name="found", embedding_storage_mode="none")

    return label


def spacy(folder: Path) -> Label:
    """Return spaCy's pipeline; it needs an older transformers, which lies beside it and comes first here."""
    sys.path.insert(0, sys.path[-1])
    import torch
    from spacy import blank

    torch.set_num_threads(1)
    pipeline = blank("xx")
    pipeline.add_pipe("transformer", config={"model": {"name": str(folder / "export/encoder")}})
    listener = {"@architectures": "spacy-transformers.TransformerListener.v1", "grad_factor": 1.0, "upstream": "*"}
    listener["pooling"] = {"@layers": "reduce_mean.v1"}
    model = {"@architectures": "spacy.TransitionBasedParser.v2", "state_type": "ner", "extra_state_tokens": False}
    size = {"hidden_width": 64, "maxout_pieces": 2, "use_upper": False, "nO": None}
    entities = pipeline.add_pipe("ner", config={"model": model | size | {"tok2vec": listener}})
    for name in json.loads((folder / "types.json").read_text()):
        entities.add_label(name)
    pipeline.initialize()
    return lambda texts, batch_size=8: list(pipeline.pipe(texts, batch_size=batch_size))


MAKE: dict[str, Callable[[Path], Label]] = {
    "graph, int8": lambda folder: ours(folder, "int8"),
    "graph, fp32": lambda folder: ours(folder, "fp32"),
    "torch": lambda folder: ours(folder, "torch"),
    "pipeline": pipeline,
    "flair": flair,
    "spaCy": spacy,
}


def run_row(name: str, folder: Path) -> dict[str, float]:
    """Return what one row takes; this process has done nothing else."""
    texts = json.loads((folder / "texts.json").read_text())
    label = MAKE[name](folder)
    label(texts[:1])
    found = {"first": time.process_time()}
    if name in ("pipeline", "spaCy"):
        label = best_batches(label, texts)
    begin, wall = time.process_time(), time.perf_counter()
    label(texts)
    words = sum(len(text.split()) for text in texts)
    found["words_per_second"] = words / (time.perf_counter() - wall)
    found["words_per_processor_second"] = words / (time.process_time() - begin)
    found["memory_mb"] = peak_memory()
    return found


def peak_memory() -> float:
    """Return the most megabytes that this process held. Linux's `ru_maxrss` counts those of its parent, too."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def prepare(student: Path, data: Path, folder: Path, sentences: int) -> dict[str, Any]:
    """Write all that the rows read: the exported student, the pipeline's model, and the text. Return what is fixed."""
    import torch
    from transformers import AutoConfig, AutoModelForTokenClassification

    from tagdistill.models.model import read_config

    config = read_config(student)
    found = export(student, data, folder, sentences, vocabulary="used")
    own = folder / "export/encoder"
    torch.manual_seed(0)
    shape = AutoConfig.from_pretrained(own, num_labels=len(config["labels"]))
    model = AutoModelForTokenClassification.from_pretrained(own, config=shape)
    model.save_pretrained(folder / "pipeline")
    (folder / "pipeline/tokenizer.json").write_bytes((own / "tokenizer.json").read_bytes())
    (folder / "pad.json").write_text(json.dumps(model.config.pad_token_id))
    types = {label.partition("-")[2] or label for label in config["labels"]}
    (folder / "types.json").write_text(json.dumps(sorted(types)))
    return found


def export(
    student: Path, data: Path, folder: Path, sentences: int, *, vocabulary: Literal["full", "used"]
) -> dict[str, Any]:
    """Write the exported student, and the text that rows label. Return how much text it is."""
    from tagdistill.data.corpus import read_corpus
    from tagdistill.export.bundle import Corpora, export_student
    from tagdistill.models.load import find_encoder
    from tagdistill.models.model import read_config
    from tagdistill.settings.export import Export

    config = read_config(student)
    tests = [data / language / "test.parquet" for language in config["languages"]]
    training = [path for path in data.glob("*/*.parquet") if path.stem in ("train", "unlabelled")]
    (folder / "card.md").write_text("")
    settings = Export(formats=("int8", "fp32", "torch"), vocabulary=vocabulary)
    encoder = find_encoder(student, config)
    export_student(student, encoder, folder / "card.md", folder / "export", settings, Corpora(training, tests))
    corpora = [read_corpus(path) for path in tests]
    texts = [" ".join(tokens) for corpus in corpora for tokens in corpus.tokens[:sentences]]
    (folder / "texts.json").write_text(json.dumps(texts))
    return {"languages": len(tests), "sentences": len(texts), "words": sum(len(text.split()) for text in texts)}


def scores(folder: Path, student: Path, data: Path) -> dict[str, float]:
    """Return the average score of each row of ours on the test sets, whose words are given."""
    from tagdistill.data.corpus import read_corpus
    from tagdistill.evaluation.metrics import score
    from tagdistill.models.model import read_config
    from tagdistill.tagger.tagger import Tagger

    found: dict[str, float] = {}
    tests = [read_corpus(data / language / "test.parquet") for language in read_config(student)["languages"]]
    for name, precision in (("graph, int8", "int8"), ("graph, fp32", "fp32"), ("torch", "torch")):
        tagger = Tagger.from_pretrained(folder / "export", precision=precision, threads=1)
        each = []
        for test in tests:
            labels = [list(tagged.labels) for tagged in tagger(test.tokens)]
            values = score(tagger.task, test.labels, labels, tagger.labels)
            each.append(values["f1"] if "f1" in values else values["accuracy"])
        found[name] = statistics.mean(each)
    return found


def sizes(folder: Path) -> dict[str, float]:
    """Return the megabytes of the files that each row reads."""
    small = ("tokenizer.json", "tagger.json")
    files = {
        "graph, int8": [folder / "export" / name for name in ("int8.onnx", *small)],
        "graph, fp32": [folder / "export" / name for name in ("fp32.onnx", *small)],
        "torch": [folder / "export/config.json", folder / "export/model.safetensors"],
        "pipeline": list((folder / "pipeline").glob("*")),
    }
    encoder = list((folder / "export/encoder").iterdir())
    files["torch"] += encoder
    files |= {"flair": files["torch"], "spaCy": encoder}
    return {name: sum(file.stat().st_size for file in listed) / 1e6 for name, listed in files.items()}


def turn(name: str, folder: Path, path: str) -> dict[str, float]:
    """Run a row in a process of its own. Raises RuntimeError with its last line if it fails."""
    command = [sys.executable, __file__, "--row", name, "--folder", str(folder), "--path", path]
    done = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip() or "no reason given").splitlines()[-1])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    from machine import machine

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        found = prepare(options.student, options.data, folder, options.sentences)
        turns: dict[str, list[dict[str, float]]] = {name: [] for name in options.rows}
        missing: dict[str, str] = {}
        for _ in range(options.rounds):
            for name in [name for name in options.rows if name not in missing]:
                try:
                    turns[name].append(turn(name, folder, options.path))
                except RuntimeError as why:
                    missing[name] = str(why)
        rows: dict[str, dict[str, float]] = {
            name: {what: statistics.median(each[what] for each in taken) for what in taken[0]}
            for name, taken in turns.items()
            if taken
        }
        for what, values in (("score", scores(folder, options.student, options.data)), ("disk_mb", sizes(folder))):
            for name, value in values.items():
                if name in rows:
                    rows[name][what] = value
    return {**machine(), **found, "rounds": options.rounds, "missing": missing, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", type=Path, help="folder of a saved student")
    parser.add_argument("--data", type=Path, help="folder of prepared data: LANGUAGE/test.parquet")
    parser.add_argument("--sentences", type=int, default=50, help="of each language")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--path", default="", help="folder of the peers")
    parser.add_argument("--row", choices=ROWS, help="run one row, and print its figures")
    parser.add_argument("--folder", type=Path, help="what --row reads")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sys.path.append(options.path)
    if options.row:
        print(json.dumps(run_row(options.row, options.folder)))
        return
    found = measure(options)
    for name, row in found["rows"].items():
        print(f"{name:12s} " + ", ".join(f"{what} {value:.1f}" for what, value in row.items()))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
