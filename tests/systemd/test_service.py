"""leakwatch as systemd runs it, and beside it the command line as an administrator uses it."""

import os
import re
from pathlib import Path

import pytest

from tests.installation import customers
from tests.systemd.conftest import CONFIG, Service
from tests.systemd.machine import CHECKOUT

pytestmark = pytest.mark.systemd

OWN = "leakwatch:leakwatch"
HANG = Path(__file__).with_name("hang.py")


def test_the_installation_lets_the_service_read_and_nobody_else(installed: Service) -> None:
    assert "What to do next" in installed.installing
    assert installed.owners("/etc/leakwatch") == {
        "": "root:leakwatch 750",
        "leakwatch.toml": "root:leakwatch 640",
        "sources": "root:leakwatch 750",
        "credentials": "root:leakwatch 750",
        "credentials/pepper": "root:leakwatch 640",
    }
    assert installed.owners("/var/lib/leakwatch") == {"": f"{OWN} 750"}
    assert len(installed.machine.path("/etc/leakwatch/credentials/pepper").read_text().strip()) == 64
    writable = installed.machine.done("find", "/opt/leakwatch", "-not", "-type", "l", "-perm", "/022")
    assert writable == ""
    installed.machine.done("systemd-analyze", "verify", "leakwatch.service")


def test_it_is_ready_only_with_its_schema_and_then_starts_by_itself(installed: Service) -> None:
    installed.configure()

    started = installed.machine.run("systemctl", "start", "leakwatch")

    assert started.returncode != 0
    assert installed.show("ActiveState") != "active"
    assert "leakwatch db upgrade" in installed.journal()
    installed.leakwatch("db", "upgrade")
    installed.until(lambda: installed.show("ActiveState") == "active", "it is tried again, and starts")
    assert installed.show("NRestarts") != "0"


def test_it_says_how_it_fares_and_has_no_rights(service: Service) -> None:
    service.until(lambda: "watching 1 source" in service.show("StatusText"), "the status line")
    assert re.search(r"\d+ jobs? waiting, nothing found yet", service.show("StatusText"))

    pid = service.show("MainPID")
    facts = dict(line.split(":\t", 1) for line in service.machine.done("cat", f"/proc/{pid}/status").splitlines())
    assert {facts[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
    assert facts["Uid"].split()[0] == service.machine.done("id", "--user", "leakwatch").strip()
    assert service.owners("/var/lib/leakwatch").keys() >= {"leakwatch.db", "leakwatch.db-wal"}
    assert set(service.owners("/var/lib/leakwatch").values()) == {f"{OWN} 750", f"{OWN} 600"}


def test_an_administrator_imports_keys_beside_it_and_the_owner_of_a_leaked_one_is_told(service: Service) -> None:
    owner, *_ = registered = customers(3, seed=31, prefix="imported")

    service.register(registered)

    assert set(service.owners("/var/lib/leakwatch").values()) == {f"{OWN} 750", f"{OWN} 600"}
    service.world.site.publish("a leak", owner.key)
    service.until(lambda: service.is_told(owner), "the owner's mail")
    service.until(lambda: "last find just now" in service.show("StatusText"), "the status line", patience=45)
    assert owner.key not in service.journal()
    assert owner.label in service.leakwatch("findings", "list")


def test_another_user_reads_neither_configuration_nor_secrets(service: Service) -> None:
    shut = service.machine.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "leakwatch", "check")

    assert shut.returncode == 2
    assert "Permission denied" in shut.stderr


def test_secrets_come_as_credentials_of_the_unit(service: Service) -> None:
    """The service starts although its user may not read where the secrets are kept."""
    folder = service.machine.path("/etc/leakwatch/credentials")
    service.machine.done("chown", "-R", "root:root", "/etc/leakwatch/credentials")
    service.systemctl("restart")
    environment = service.machine.done("cat", f"/proc/{service.show('MainPID')}/environ")
    assert "CREDENTIALS_DIRECTORY=/run/credentials/leakwatch.service" in environment
    assert (folder / "pepper").read_text().strip() not in environment + service.journal()
    denied = service.machine.run("leakwatch", "check")
    assert "Permission denied" in denied.stderr

    service.machine.done("systemd-tmpfiles", "--create", "leakwatch.conf")  # as `make install` and every boot do

    assert "no problem found" in service.leakwatch("check")


def test_a_pepper_that_is_missing_is_named(service: Service) -> None:
    pepper = service.machine.path("/etc/leakwatch/credentials/pepper")
    pepper.rename(pepper.with_name("elsewhere"))
    try:
        started = service.machine.run("systemctl", "restart", "leakwatch")
    finally:
        pepper.with_name("elsewhere").rename(pepper)
    assert started.returncode != 0
    assert (service.show("ActiveState"), service.show("ExecMainStatus")) == ("failed", "2")  # and is not tried again
    assert "the pepper in /run/credentials/leakwatch.service/pepper is empty" in service.journal()


def test_a_reload_takes_over_sources_and_refuses_a_bad_file(service: Service) -> None:
    pid = service.show("MainPID")
    more = f'[[source]]\nuse = "demo-paste"\nname = "second"\nbase_url = "{service.world.site.url}"'

    service.configure(more)
    service.systemctl("reload")
    service.until(lambda: "watching 2 sources" in service.show("StatusText"), "the second source")

    with service.machine.path(CONFIG).open("a") as file:
        file.write("\nevrey = '5s'\n")
    refused = service.machine.run("systemctl", "reload", "leakwatch")
    assert refused.returncode != 0  # to whoever asked
    assert "did you mean every?" in service.journal()
    assert service.show("StatusText").startswith("watching 2 sources")

    service.systemctl("kill", "--signal=HUP", "--kill-whom=main")  # nobody looks at the file before the daemon does
    service.until(lambda: "configuration refused (config)" in service.show("StatusText"), "the status says so")
    assert "watching 2 sources" in service.show("StatusText")
    assert (service.show("ActiveState"), service.show("SubState")) == ("active", "running")
    assert service.journal().count("configuration refused: the old one stays in force") == 1

    service.configure()
    service.systemctl("reload")
    service.until(lambda: service.show("StatusText").startswith("watching 1 source,"), "the good one again")
    assert service.show("MainPID") == pid


def test_a_killed_daemon_comes_back_and_nothing_is_lost(service: Service) -> None:
    [owner] = customers(1, seed=32, prefix="killed")
    service.register([owner])
    before = service.show("MainPID")
    service.world.site.publish("a leak", owner.key)

    service.systemctl("kill", "--signal=KILL", "--kill-whom=main")

    service.until(lambda: service.show("MainPID") not in ("0", before), "another process")
    service.until(lambda: service.is_told(owner), "the owner's mail")
    service.until(lambda: service.show("ActiveState") == "active", "it is ready")


@pytest.mark.parametrize(
    ("signal", "shown"),
    [("USR1", " in hang_here"), ("USR2", "the engine's loop hangs")],
    ids=["event-loop", "engine-loop"],
)
def test_the_watchdog_restarts_a_loop_that_hangs(service: Service, signal: str, shown: str) -> None:
    before = _with_short_watchdog(service)

    service.systemctl("kill", f"--signal={signal}", "--kill-whom=main")

    service.until(lambda: service.show("MainPID") not in ("0", before), "it is restarted", patience=60)
    service.until(lambda: service.show("ActiveState") == "active", "it is ready again")
    journal = service.journal()
    assert "Watchdog timeout (limit 3s)!" in journal
    assert "Fatal Python error: Aborted" in journal
    assert shown in journal  # and where, or what


def test_installing_again_keeps_what_is_the_operators(service: Service) -> None:
    kept = {name: service.machine.path(name).read_text() for name in (CONFIG, "/etc/leakwatch/credentials/pepper")}
    pid = service.show("MainPID")

    said = service.machine.done("make", "--directory", str(CHECKOUT), "install", timeout=120)

    assert "leakwatch runs as it was before" in said
    assert "systemctl start leakwatch" in said  # the last of the steps
    assert service.show("MainPID") == pid
    assert {name: service.machine.path(name).read_text() for name in kept} == kept
    service.systemctl("restart")


def test_an_order_to_stop_is_no_failure_and_uninstalling_leaves_the_data(service: Service) -> None:
    service.systemctl("stop")
    assert (service.show("Result"), service.show("ExecMainStatus")) == ("success", "0")

    said = service.machine.done("make", "--directory", str(CHECKOUT), "uninstall")

    assert "/etc/leakwatch, /var/lib/leakwatch" in said
    assert service.machine.run("systemctl", "cat", "leakwatch").returncode != 0
    for gone in ("/opt/leakwatch", "/usr/local/bin/leakwatch", "/usr/local/lib/sysusers.d/leakwatch.conf"):
        assert not os.path.lexists(service.machine.path(gone))
    for kept in ("/var/lib/leakwatch/leakwatch.db", "/etc/leakwatch/credentials/pepper", CONFIG):
        assert service.machine.path(kept).exists()


def _with_short_watchdog(service: Service) -> str:
    """Restart it with a watchdog of seconds and the means to make it hang; return its process."""
    custom = service.machine.path("/opt/hang")
    custom.mkdir(exist_ok=True)
    (custom / "sitecustomize.py").write_bytes(HANG.read_bytes())
    drop_in = service.machine.path("/run/systemd/system/leakwatch.service.d")
    drop_in.mkdir(parents=True, exist_ok=True)
    (drop_in / "test.conf").write_text("[Service]\nWatchdogSec=3\nEnvironment=PYTHONPATH=/opt/hang\n")
    service.machine.done("systemctl", "daemon-reload")
    service.systemctl("restart")
    service.until(lambda: bool(service.show("StatusText")), "the first sign of life")
    return service.show("MainPID")
