"""Faults that real servers make: an nginx that is set up to fail, a mitmproxy that breaks what passes through it."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from leakwatch.demo import free_port
from tests.peers.software import needs, serving

UNPACKED = 200_000_000  # bytes of the bomb, which is a thousandth of that on the wire

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  limit_req_zone $binary_remote_addr zone=few:1m rate=1r/s;
  limit_req_status 429;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/www;
    default_type text/html;
    location = /403 {{ return 403; }}
    location = /410 {{ return 410; }}
    location = /429 {{ add_header Retry-After 7 always; return 429; }}
    location = /500 {{ return 500; }}
    location = /502 {{ proxy_pass http://127.0.0.1:{closed}; }}
    location = /503 {{ add_header Retry-After 9 always; return 503; }}
    location = /silence {{ return 444; }}
    location = /circle {{ return 302 /circle; }}
    location = /away {{ return 302 http://127.0.0.2/; }}
    location = /file {{ return 302 file:///etc/passwd; }}
    location = /bomb {{ gzip off; types {{ }} add_header Content-Encoding gzip; alias {folder}/www/bomb.gz; }}
    location = /no-gzip {{ add_header Content-Encoding gzip; alias {folder}/www/page; }}
    location = /slow {{ limit_rate 20; alias {folder}/www/page; }}
    location /few/ {{ limit_req zone=few; alias {folder}/www/; }}
  }}
}}
"""

FAULTS = '''
from mitmproxy import http

seen = set()


def request(flow):
    """The first time that a document is asked for, it breaks."""
    path = flow.request.path
    flow.metadata["first"] = path not in seen
    seen.add(path)
    if "busy" in path and flow.metadata["first"]:
        flow.response = http.Response.make(503, b"not now", {"Retry-After": "1"})


def responseheaders(flow):
    path = flow.request.path
    if "reset" in path and flow.metadata["first"]:
        def broken(data):
            if data:
                flow.kill()
            return data[:100]
        flow.response.stream = broken


def response(flow):
    path, headers = flow.request.path, flow.response.headers
    if "too-long" in path:
        headers["content-length"] = str(len(flow.response.raw_content) + 5000)
    if "too-short" in path:
        headers["content-length"] = "40"
'''


@asynccontextmanager
async def nginx(folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """Serve `www` in the folder, and a location for each fault; yield the address and that folder."""
    needs("/usr/sbin/nginx", what="nginx")
    www, port = folder / "www", free_port()
    www.mkdir()
    (www / "page").write_text("<p>" + "a long page. " * 200)
    (www / "bomb.gz").write_bytes(gzip.compress(bytes(UNPACKED), 6))
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=port, closed=free_port()))
    async with serving(folder, port, "/usr/sbin/nginx", "-p", folder, "-c", configuration):
        yield f"http://127.0.0.1:{port}", www


@asynccontextmanager
async def mitmproxy(folder: Path, *mode: str) -> AsyncIterator[int]:
    """Run a mitmproxy that breaks what its paths name; yield its port."""
    needs("mitmdump", what="mitmproxy")
    work, port = folder / "mitmproxy", free_port()
    work.mkdir()
    (work / "faults.py").write_text(FAULTS)
    options = ("--set", f"confdir={work}", "--set", "connection_strategy=lazy", "--listen-host", "127.0.0.1")
    command = ("mitmdump", "--quiet", *mode, *options, "--listen-port", str(port), "-s", str(work / "faults.py"))
    async with serving(work, port, *command):
        yield port
