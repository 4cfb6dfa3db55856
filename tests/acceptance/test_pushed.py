"""A site that tells of a change itself: the notice goes out long before a poll would have seen it."""

from pathlib import Path

import aiohttp

from leakwatch.demo import Mailbox
from tests.installation import Installation, customers, mails, text_of, until
from tests.integration.git.host import serving

SECRET = "0123456789abcdef"


async def test_a_pushed_repository_brings_its_notice_at_once_and_once(
    installation: Installation, mailbox: Mailbox, tmp_path: Path
) -> None:
    [owner] = customers(1, seed=93)
    (tmp_path / "host").mkdir()
    (tmp_path / "push").write_text(f"{SECRET}\n")
    async with serving(tmp_path / "host") as host:
        host.answers["/api/models"] = []
        installation.sources = (
            f'[[source]]\nuse = "huggingface-models"\nbase_url = "{host.url}"\nevery = "1h"\nrate = "100/s"\n'
            'robots = "ignore"\npush_secret_file = "push"\noverride = { listing = { may_be_empty = true } }\n'
        )
        await installation.install([owner])
        tools = host.create("tools")
        head = tools.commit({"app/.env": f"A=1\nKEY={owner.key}\n"})
        tools.push()
        repo = {"type": "model", "name": "tools.git", "private": False, "headSha": head}
        door = f"http://127.0.0.1:{installation.web_port}/hooks/huggingface-models"
        async with installation.daemon(), aiohttp.ClientSession() as client:
            for secret, status in (("wrong", 403), (SECRET, 202), (SECRET, 202)):
                headers = {"X-Webhook-Secret": secret}
                async with client.post(door, json={"repo": repo}, headers=headers) as answer:
                    assert answer.status == status
            await until(lambda: bool(mails(mailbox, owner.address)), "the notice is there")
        [mail] = mails(mailbox, owner.address)
        assert f"{host.url}/tools/blob/{head}/app/.env" in text_of(mail)
        assert [event["new"] for event in installation.events if event["event"] == "told"] == [1, 0]
    assert SECRET not in installation.log.read_text()
