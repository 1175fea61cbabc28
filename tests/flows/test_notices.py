import pytest
from prefect import State, flow

from mvideo.flows._notices import conclude


@pytest.mark.usefixtures("prefect_server")
def test_a_flow_with_warnings_completes_under_another_name_with_its_reasons() -> None:
    @flow(persist_result=False)
    def run(warnings: list[str]) -> dict[str, int] | State[dict[str, int]]:
        return conclude({"ok": 12}, warnings)

    good = run([], return_state=True)
    assert (good.type.value, good.name) == ("COMPLETED", "Completed")
    yellow = run(["caption: 12 of 12 captions are the same text"], return_state=True)
    assert (yellow.type.value, yellow.name) == ("COMPLETED", "CompletedWithWarnings")
    assert yellow.message == "caption: 12 of 12 captions are the same text"
    assert run(["caption: look"]) == {"ok": 12}  # who calls the flow gets the summary all the same
