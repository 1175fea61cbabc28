"""Options that were timesteps once: refused in one line that says what to give."""

from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options, Over
from mvideo_core.generation.options import GenerateOptions
from mvideo_core.training.callbacks.samples import SampleOptions
from mvideo_core.training.callbacks.validation import ValidationOptions
from mvideo_core.training.draws import DrawOptions

FORMER = [
    (GenerateOptions, "condition_timestep", "timestep 20 is sigma 0.14 in CogVideoX-5b and mini, 0.24 in 2b"),
    (SampleOptions, "history_timestep", "timestep 20 is sigma 0.14"),
    (ValidationOptions, "history_timestep", "timestep 20 is sigma 0.14"),
    (DrawOptions, "history_noise", "timesteps up to 100 are sigma up to 0.34 in CogVideoX-5b and mini, 0.52 in 2b"),
]


@pytest.mark.parametrize(("record", "name", "was"), FORMER)
def test_a_former_option_is_refused_with_what_replaces_it(record: type[Options], name: str, was: str) -> None:
    with pytest.raises(ConfigError) as refused:
        record.parse({name: 20}, "a.yaml")
    said = str(refused.value)
    assert said.startswith(f"a.yaml: {name} (seen 20) is no longer an option; use history_sigma")
    assert was in said
    assert "\n" not in said


@pytest.mark.parametrize(("record", "name", "was"), FORMER)
def test_and_so_it_is_where_single_values_go_over_a_profile(record: type[Options], name: str, was: str) -> None:
    form: TypeAdapter[Any] = TypeAdapter(Annotated[dict[str, Any] | None, Over(record)])
    with pytest.raises(ValidationError, match=was):
        form.validate_python({name: 20})
