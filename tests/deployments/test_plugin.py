import pytest

from mvideo.deployments.prefect_plugin import asks_for_ours, is_prefect_command, with_full_names

FULL = "build-mask-dataset/build-mask-dataset"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("prefect deployment run build-mask-dataset", f"prefect deployment run {FULL}"),
        (f"prefect deployment run {FULL}", f"prefect deployment run {FULL}"),
        ("prefect deployment run --watch build-mask-dataset -p a=1", f"prefect deployment run --watch {FULL} -p a=1"),
        ("prefect --no-prompt deployments inspect cut", "prefect --no-prompt deployments inspect cut/cut"),
        ("prefect deployment run somebody-elses", "prefect deployment run somebody-elses"),
        ("prefect deployment run -p workspace=cut cut", "prefect deployment run -p workspace=cut cut/cut"),
        ("prefect flow-run ls cut", "prefect flow-run ls cut"),
        ("prefect deployment run", "prefect deployment run"),
        ("prefect", "prefect"),
    ],
)
def test_bare_names_become_full_ones(typed: str, meant: str) -> None:
    assert with_full_names(typed.split()) == meant.split()


@pytest.mark.parametrize(
    ("argv", "is_ours"),
    [
        (["/usr/bin/prefect", "deployment"], True),
        (["prefect"], True),
        (["/lib/site-packages/prefect/__main__.py"], True),
        (["train.py", "deployment", "run", "cut"], False),
        (["/usr/bin/pytest"], False),
        ([], False),
    ],
)
def test_only_the_prefect_command_line_is_touched(argv: list[str], is_ours: bool) -> None:
    assert is_prefect_command(argv) is is_ours


@pytest.mark.parametrize(
    ("typed", "ours"),
    [
        (f"prefect deployment run {FULL}", True),
        (f"prefect deployment inspect {FULL}", False),
        ("prefect deployment run a/b", False),
        ("prefect server start", False),
    ],
)
def test_a_run_of_ours_needs_a_server(typed: str, ours: bool) -> None:
    assert asks_for_ours(typed.split()) is ours
