"""The demo is what a newcomer sees first: it must show what it promises, and fail when it cannot."""

from pathlib import Path

import pytest

from leakwatch import demo as shown
from leakwatch.demo import DemoFailed, Mailbox, demo


async def test_the_demo_shows_the_mail_the_seconds_and_the_proof(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await demo(keep=tmp_path)
    out = capsys.readouterr().out
    assert "Subject: Your API key" in out
    assert "s after publication" in out
    assert "no key in any of" in out
    assert (tmp_path / "leakwatch.db").exists()


async def test_the_demo_fails_loudly_when_no_mail_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> str:
        return "550 5.1.1 no"

    monkeypatch.setattr(Mailbox, "handle_RCPT", refuse)
    monkeypatch.setattr(shown, "PATIENCE", 12.0)
    with pytest.raises(DemoFailed, match="no mail for"):
        await demo(keep=tmp_path)


async def test_the_demo_fails_loudly_when_a_key_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = shown._leaks()
    monkeypatch.setattr(shown, "_leaks", lambda: kept)
    (tmp_path / "core").write_text(f"what a process left: {kept[0].key}")
    with pytest.raises(DemoFailed, match="a key was kept: Acme's key in core"):
        await demo(keep=tmp_path)
