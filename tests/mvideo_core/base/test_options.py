import pytest
from pydantic import Field

from mvideo_core.base.errors import ConfigError
from mvideo_core.base.options import Options, canonical_json, digest, merge, partial_of, read_yaml
from mvideo_core.base.registry import Registry


class Small(Options):
    size: int = Field(default=3, ge=1, description="px")


def test_canonical_json_is_worked_out_by_hand():
    assert canonical_json({"b": Small(size=2), "a": [1.5, "ü"]}) == '{"a":[1.5,"\\u00fc"],"b":{"size":2}}'


def test_digest_does_not_depend_on_key_order():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"


def test_new_fields_at_their_defaults_leave_the_digest_of_older_options_as_it_was():
    class Grown(Small):
        inner: Small = Small()
        speed: float = 1.0

    assert Grown().at_default("inner", "speed") == {"inner", "speed"}
    assert Grown(speed=2.0).at_default("inner", "speed") == {"inner"}
    assert Grown(inner=Small(size=5)).at_default("inner", "speed") == {"speed"}
    old = digest(Small().model_dump(mode="json"))
    assert digest(Grown().model_dump(mode="json", exclude=Grown().at_default("inner", "speed"))) == old


def test_a_bad_value_is_named_with_what_was_seen_and_what_is_allowed():
    with pytest.raises(ConfigError, match=r"(?s)size: .*greater than or equal to 1; seen 0.*allowed keys: size"):
        Small.parse({"size": 0}, "my.yaml")
    with pytest.raises(ConfigError, match=r"(?s)my.yaml.*sise: Extra inputs.*allowed keys: size"):
        Small.parse({"sise": 4}, "my.yaml")


def test_a_renamed_option_is_read_by_either_name_but_not_by_both():
    class Renamed(Small):
        RENAMED = {"extent": "size"}

    assert Renamed.parse({"extent": 5}) == Renamed(size=5)
    assert partial_of(Renamed).parse({"extent": 5}).model_dump(exclude_unset=True) == {"size": 5}
    with pytest.raises(ConfigError, match=r"a\.yaml: .*extent \(seen 5\) is the former name of size, also given"):
        Renamed.parse({"extent": 5, "size": 6}, "a.yaml")
    with pytest.raises(ConfigError, match="seen 0"):
        Renamed.parse({"extent": 0})


def test_yaml_objects_are_refused(tmp_path):
    path = tmp_path / "evil.yaml"
    path.write_text("a: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_yaml(path)


def test_an_unknown_plugin_is_answered_with_the_known_ones():
    registry: Registry[int] = Registry("number", "mvideo_core.store")
    registry.register("one")(1)
    registry.register("two")(2)
    with pytest.raises(ConfigError, match="no number called 'three'; known: one, two"):
        registry.get("three")
    with pytest.raises(RuntimeError, match="two numbers are called 'one'"):
        registry.register("one")(11)


def test_one_entry_of_a_list_is_changed_by_its_number() -> None:
    suite = {"metrics": [{"metric": "a"}, {"metric": "b", "options": {"x": 1}}], "name": "s"}
    changed = merge(suite, {"metrics": {"1": {"options": {"align": True}}}})
    assert changed["metrics"] == [{"metric": "a"}, {"metric": "b", "options": {"x": 1, "align": True}}]
    assert suite["metrics"][1] == {"metric": "b", "options": {"x": 1}}  # nobody else's list is changed
    assert merge({"classes": ["cat", "dog"]}, {"classes": {"0": "cow"}}) == {"classes": ["cow", "dog"]}


@pytest.mark.parametrize("key", ["2", "-1", "name", "1.0"])
def test_a_number_that_a_list_does_not_have_is_refused_in_one_line(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"metrics.{key}: metrics is a list of 2 entries, 0 to 1"):
        merge({"metrics": [{}, {}]}, {"metrics": {key: {"x": 1}}})


def test_yes_is_no_number():
    """YAML reads `size: yes` as true, which pydantic takes for 1."""

    class Mixed(Small):
        share: float | None = None
        on: bool = False
        either: bool | int = 2

    for values, name in (({"size": True}, "size is true"), ({"share": False}, "share is false")):
        with pytest.raises(ConfigError, match=f"^here: {name}; expected a number"):
            Mixed.parse(values, "here")
    assert Mixed.parse({"on": True, "either": True}) == Mixed(on=True, either=True)


def test_a_long_value_is_shown_in_part():
    with pytest.raises(ConfigError) as refused:
        Small.parse({"size": "x" * 1000})
    assert f"seen '{'x' * 199}... (1002 characters)" in str(refused.value)
