"""Weir's servers seen by a browser: Debian's chromium opens page/index.html from them and runs its checks.

Sections: 1 plain, 2 with deflate, 3 over TLS with deflate.
"""

import os
import shutil
import tempfile

import kit

TITLES = 15


def main():
    arguments = kit.arguments(__doc__)
    cases = kit.Cases("browser_case", arguments)
    chromium = shutil.which("chromium")

    def visit(browser, url, section, trusting):
        page = browser.new_page(ignore_https_errors=trusting)
        complaints = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        page.wait_for_function("window.verdict !== undefined", timeout=60_000)
        results = page.evaluate("window.verdict")
        page.close()
        for index, result in enumerate(results, 1):
            cases.add(
                f"{section}.{index}",
                result["title"],
                lambda found=result["found"]: kit.equal(found, None, "problem"),
            )
        cases.add(
            f"{section}.{len(results) + 1}",
            "all checks ran without an error of the page",
            lambda: kit.equal((len(results), complaints), (TITLES, []), "checks and complaints"),
        )

    def skipped(why):
        raise kit.Skipped(why)

    if not chromium:
        cases.add("1.1", "a browser", skipped, "chromium is not installed")
        cases.run()
        cases.finish()

    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(prefix="weir-conformance-") as folder:
        _, leaf, key = kit.certificate(folder)
        serve = lambda *words: kit.start(
            arguments.peer,
            "http",
            "--static",
            os.path.join(kit.HERE, "page"),
            "--token",
            "conformance-token",
            *words,
        )[1]["port"]
        plain, deflate, tls = serve(), serve("--deflate"), serve("--deflate", "--tls", leaf, "--key", key)
        with sync_playwright() as tools:
            browser = tools.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--no-proxy-server"]
            )
            visit(browser, f"http://127.0.0.1:{plain}/static/", 1, False)
            visit(browser, f"http://127.0.0.1:{deflate}/static/?deflate", 2, False)
            visit(browser, f"https://localhost:{tls}/static/?deflate", 3, True)
            browser.close()
        cases.run()
        cases.finish()


main()
