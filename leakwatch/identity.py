"""Whose rights a command has: on a system installation always the service's.

Otherwise a root shell would leave a database, or a file beside it, that the service may not write.
"""

import os
import pwd
from pathlib import Path
from typing import Final

USER: Final = "leakwatch"
SYSTEM: Final = Path("/etc/leakwatch")


def assume(config: Path, *, system: Path = SYSTEM, user: str = USER) -> bool:
    """Give up root for good, for the service's user, where the configuration lies in /etc/leakwatch; return whether.

    Files that were opened before stay open. Without that user (a container, say) root stays root.
    """
    if os.geteuid() != 0 or config.parent.resolve() != system.resolve():
        return False
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return False
    os.initgroups(account.pw_name, account.pw_gid)
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    os.umask(0o077)  # the unit's
    os.environ.update(HOME=account.pw_dir, USER=account.pw_name, LOGNAME=account.pw_name)
    return True
