import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from leakwatch.units import Duration, Rate, RateField, Size, rate, seconds, size


class Settings(BaseModel):
    model_config = ConfigDict(strict=True)

    every: Duration = 60.0
    most: Size = 1000
    pace: RateField = Rate(1, 1.0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("30s", 30),
        ("5m", 300),
        ("1h 30m", 5400),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("1w", 604_800),
        ("250ms", 0.25),
        ("1.5 h", 5400),
        (" 1s ", 1),
    ],
)
def test_durations(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5", "s", "0s", "-5s", "5 minutes", "1h, 5m", "5S", 5, 5.0, None, True, ["5s"]])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(text)


@given(st.lists(st.tuples(st.integers(1, 999), st.sampled_from(["s", "m", "h", "d", "w"])), min_size=1, max_size=4))
def test_the_parts_of_a_duration_add_up(parts: list[tuple[int, str]]) -> None:
    text = " ".join(f"{n}{unit}" for n, unit in parts)
    assert seconds(text) == sum(seconds(f"{n}{unit}") for n, unit in parts)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 B", 1),
        ("512 KiB", 524_288),
        ("10 MB", 10_000_000),
        ("1.5kB", 1500),
        ("2 KB", 2000),
        ("3MiB", 3 << 20),
        ("1 GiB", 1 << 30),
    ],
)
def test_sizes(text: str, value: int) -> None:
    assert size(text) == value


@pytest.mark.parametrize("text", ["", "5", "MB", "0 MB", "0.5 B", "-1 MB", "5 kiB", "5 mb", "5 TB", "5 MBs", 5, None])
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(ValueError, match="write a size"):
        size(text)


@pytest.mark.parametrize(
    ("text", "value", "interval"),
    [("1/s", Rate(1, 1), 1), ("100/h", Rate(100, 3600), 36), ("1/5s", Rate(1, 5), 5), ("3 / 2 m", Rate(3, 120), 40)],
)
def test_rates(text: str, value: Rate, interval: float) -> None:
    assert rate(text) == value
    assert value.interval == interval


@pytest.mark.parametrize("text", ["", "5", "0/s", "1/0s", "1/00s", "-1/s", "1.5/s", "1/w", "1/s/s", 5, None])
def test_what_is_no_rate(text: object) -> None:
    with pytest.raises(ValueError, match="write a rate"):
        rate(text)


@given(st.integers(1, 10**6), st.integers(1, 10**4), st.sampled_from(["s", "m", "h", "d"]))
def test_a_rate_reads_back_as_it_is_shown(count: int, span: int, unit: str) -> None:
    value = rate(f"{count}/{span}{unit}")
    assert rate(str(value)) == value


@pytest.mark.parametrize(
    ("value", "shown"), [(Rate(1, 1), "1/s"), (Rate(5, 60), "5/m"), (Rate(1, 90), "1/90s"), (Rate(2, 172800), "2/2d")]
)
def test_a_rate_as_it_is_shown(value: Rate, shown: str) -> None:
    assert str(value) == shown


def test_settings_are_read_from_text_and_from_what_they_were_read_into() -> None:
    settings = Settings.model_validate({"every": "1m", "most": "2 kB", "pace": "10/m"})
    assert settings == Settings(every=60.0, most=2000, pace=Rate(10, 60.0))
    assert Settings.model_validate(settings.model_dump()) == settings
    assert settings.model_dump()["pace"] == "10/m"


@pytest.mark.parametrize("wrong", [{"every": 60}, *({"most": most} for most in (True, 1.5, 0, -1)), {"pace": 5}])
def test_settings_that_are_no_text_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="write a"):
        Settings.model_validate(wrong)


@pytest.mark.parametrize("wrong", [0.0, -5.0, float("nan"), float("inf")])
def test_a_duration_written_as_a_number_is_one_that_can_be_waited(wrong: float) -> None:
    with pytest.raises(ValidationError, match="more than nothing"):
        Settings.model_validate({"every": wrong})
