"""What is a gatekeeper's page in place of a document, and what only speaks of one."""

from time import perf_counter

import pytest

from leakwatch.fetch.gates import LONGEST, is_barred

LOGIN = '<html><head><title>Sign in · GitLab</title></head><form><input type="password" name="p"></form></html>'
CLOUDFLARE = """<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title></head><body>
<noscript><div>Enable JavaScript and cookies to continue</div></noscript>
<script>window._cf_chl_opt={}</script></body></html>"""
ANUBIS = """<!doctype html><html><head><title>Making sure you&#39;re not a bot!</title>
<script id="anubis_version" type="application/json">"v1.14.2"</script></head>
<body><h1>Making sure you're not a bot!</h1>
<p>You are seeing this because the administrator of this website has set up Anubis.</p></body></html>"""
SHELL = "<!doctype html><html><body><noscript>You need to enable JavaScript to run this app.</noscript></body></html>"
CHROME = f"<nav>{'<a>Home</a> <a>Archive</a> <a>About us</a> ' * 40}</nav>"


@pytest.mark.parametrize(
    "page",
    [
        LOGIN,
        CLOUDFLARE,
        ANUBIS,
        SHELL,
        "<html>Just a moment… are you human?</html>",
        "<html><head><title>Access denied</title></head><body><h1>Error 1020</h1></body></html>",
        "<!DOCTYPE html><html><body><p>Please solve this CAPTCHA</p></body></html>",
        '\n<html><body><form><div class="g-recaptcha" data-sitekey="x"></div></form></body></html>',
        f"<!-- {'x' * 100} --><html><title>Attention Required! | Cloudflare</title></html>",
    ],
    ids=["login", "cloudflare", "anubis", "shell", "bot check", "refusal", "captcha", "widget", "comment before"],
)
def test_a_short_page_that_is_a_gatekeepers_is_known(page: str) -> None:
    assert is_barred(page)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-25 10:00:01 WARN captcha failed for ada\n2026-11-25 10:00:02 ERROR access denied\n",
        "CAPTCHA_KEY=6Lc\nJust a moment...\nare you human?",
        '{"error": "access denied", "captcha": true}',
        "",
        "   \n",
        f"<html><title>paste 1</title>{CHROME}<pre>access denied, solve the captcha, enable javascript</pre></html>",
        f'<html><title>netflix login</title>{CHROME}<input type="password"><pre>ada:secret</pre></html>',
        f'<html><title>A forum</title><form><input type="password"></form>{CHROME}<p>{"words " * 400}</p></html>',
        f"<html><title>How to solve a captcha</title>{CHROME}<p>{'words ' * 400}</p></html>",
        "<html><title>paste</title><p>my settings: CAPTCHA = on</p></html>",
        "<html><title>paste</title><textarea>access denied</textarea></html>",
        "<rss><title>Just a moment...</title></rss>",
        f"<html><title>Just a moment...</title><!--{'x' * LONGEST}--></html>",
    ],
)
def test_what_only_speaks_of_one_is_a_document(text: str) -> None:
    assert not is_barred(text)


@pytest.mark.parametrize("piece", ["<script>", "<div>", "<!--", "<title>", "<a b=", "&#", "<html><html"])
def test_a_hostile_page_is_judged_in_time_that_grows_with_its_length(piece: str) -> None:
    def spent(length: int) -> float:
        text = "<html>" + piece * (length // len(piece))
        began = perf_counter()
        for _ in range(3):
            is_barred(text)
        return perf_counter() - began

    spent(1_000)
    assert spent(LONGEST - 100) < 60 * max(spent(LONGEST // 10), 1e-3)


@pytest.mark.parametrize(
    "text", ["<html>\x00</html>", "<html>\ud800</html>", '<?xml version="1.0" encoding="x"?><html/>', "<html"]
)
def test_what_no_parser_likes_is_no_gatekeeper(text: str) -> None:
    assert not is_barred(text)
