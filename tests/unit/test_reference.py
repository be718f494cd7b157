"""The pages that are written from the code say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagdistill.reporting.results import write_results
from tagdistill.settings.reference import SECTIONS, config_reference

ROOT = Path(__file__).parents[2]


def test_the_page_of_every_key_is_up_to_date():
    assert (ROOT / "config" / "README.md").read_text(encoding="utf-8") == config_reference(), (
        "run `tagdistill config reference > config/README.md`"
    )


@pytest.mark.parametrize("model", [model for _, model, _ in SECTIONS], ids=lambda model: model.__name__)
def test_every_key_is_described(model):
    assert all(field.description for field in model.model_fields.values())


def test_the_environments_install_the_pinned_torch():
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    files = sorted((ROOT / "envs").glob("*.yaml"))
    assert files
    for file in files:
        script = file.with_suffix(".post-deploy.sh").read_text()
        assert f"torch=={pins['torch']} " in script and "/constraints.txt" in script, file.name


def test_every_requirement_is_pinned_within_its_range():
    import tomllib

    from packaging.requirements import Requirement

    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [text for group in project["optional-dependencies"].values() for text in group]
    for text in [*project["dependencies"], *extras]:
        requirement = Requirement(text)
        if requirement.name == "tagdistill":  # another extra of its own
            continue
        assert requirement.name.lower() in {name.lower() for name in pins}, requirement.name
        pin = next(version for name, version in pins.items() if name.lower() == requirement.name.lower())
        assert requirement.specifier.contains(pin), requirement


def test_an_unfinished_experiment_has_no_results_page(tmp_path):
    from tagdistill.errors import DataError

    with pytest.raises(DataError, match="not finished"):
        write_results([tmp_path / "x"], tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
