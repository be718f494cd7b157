"""The optimisers are torch's, to the bit; learning rates follow their schedule; what is stored of them comes back."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tiny_runs import LABELS

from tagdistill.models.model import Model
from tagdistill.models.tagger import TaggerSpec
from tagdistill.settings.training import TeacherSettings
from tagdistill.training.optimizer import Schedule, make_optimizer
from tagdistill.training.processes import Processes
from tagdistill.training.state import load_process, load_state, save_process, save_state


def small_model() -> Model:
    torch.manual_seed(0)
    return Model(TaggerSpec(inputs=5, labels=LABELS, decoder="crf", head="mlp", hidden=4))


def settings(**values) -> TeacherSettings:
    return TeacherSettings.model_validate({"updates": 20, "weight_decay": 0.1, **values})


def give_gradients(model: Model, seed: int) -> None:
    torch.manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_updates_are_those_of_torch(name):
    ours, theirs = small_model(), small_model()
    optimizer = make_optimizer(ours, settings(optimizer=name))
    groups = [{**group, "params": []} for group in optimizer.param_groups]
    names = {id(parameter): name for name, parameter in ours.named_parameters()}
    for group, own in zip(groups, optimizer.param_groups, strict=True):
        group["params"] = [theirs.get_parameter(names[id(parameter)]) for parameter in own["params"]]
    plain = (torch.optim.AdamW if name == "adam" else torch.optim.SGD)(groups)
    for update in range(5):
        for model in (ours, theirs):
            give_gradients(model, update)
        optimizer.step()
        plain.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert mine.equal(other) and mine.requires_grad


@pytest.mark.parametrize("values", [{}, {"optimizer": "sgd"}, {"schedule": "plateau"}], ids=str)
def test_a_state_that_is_loaded_goes_on_to_the_bit(values, tmp_path):
    first, second = small_model(), small_model()
    chosen = settings(**values)
    schedules = [Schedule(make_optimizer(model, chosen), chosen, 20) for model in (first, second)]

    def update(which: int, model: Model, number: int) -> None:
        give_gradients(model, number)
        schedules[which].optimizer.step()
        schedules[which].after(number + 1)
        schedules[which].scored(1.0)

    for number in range(13):
        update(0, first, number)
    save_state(tmp_path, first, schedules[0], {"update": 13})
    assert load_state(tmp_path, second, schedules[1])["update"] == 13
    for number in range(13, 26):
        for which, model in enumerate((first, second)):
            update(which, model, number)
        assert schedules[0].rates == schedules[1].rates
    assert all(map(torch.equal, first.parameters(), second.parameters()))


def test_random_numbers_go_on_where_they_were(tmp_path):
    torch.manual_seed(5)
    save_process(tmp_path, Processes(), "cpu", {"loss": 0.1 + 0.2, "words": 3})
    expected = torch.rand(3)
    assert load_process(tmp_path, Processes()) == {"loss": 0.1 + 0.2, "words": 3}
    assert torch.rand(3).equal(expected)


def test_nothing_that_is_stored_could_run_code(tmp_path):
    model, chosen = small_model(), settings()
    save_state(tmp_path, model, Schedule(make_optimizer(model, chosen), chosen, 20), {"update": 0})
    save_process(tmp_path, Processes(), "cpu", {})
    assert {path.suffix for path in Path(tmp_path).iterdir()} == {".json", ".safetensors"}


def test_rates_of_each_group_follow_the_same_schedule():
    chosen = settings(warmup=0.25, learning_rate=0.1, learning_rate_transitions=0.4)
    schedule = Schedule(make_optimizer(small_model(), chosen), chosen, 20)
    found = []
    for update in range(1, 21):
        found.append(schedule.rates)
        schedule.after(update)
    expected = [number / 5 for number in range(5)] + [(20 - number) / 15 for number in range(5, 20)]
    assert [head for head, _ in found] == [0.1 * factor for factor in expected]
    assert all(math.isclose(4 * head, transitions) for head, transitions in found)
