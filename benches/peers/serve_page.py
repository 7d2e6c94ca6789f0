#!/usr/bin/env python3
"""Uses the page of `mlestar serve` in headless Chromium as a person would, and takes screenshots.

    mlestar-serve RUN --port 8123 &
    python3 benches/peers/serve_page.py 8123 IMAGE FOLDER

Chooses the image, waits for the answer, asks where it rests, and chooses a file that is no image; on a phone (390 x 844) and
a desktop, light and dark. Fails if an answer does not appear, the page is wider than the screen, or it asks anything of
another host or writes to the console. Needs aiohttp and chromium.
"""
import asyncio
import base64
import pathlib
import subprocess
import sys
import tempfile

import aiohttp

PORT, IMAGE, FOLDER = sys.argv[1], str(pathlib.Path(sys.argv[2]).resolve()), pathlib.Path(sys.argv[3])
DEBUG_PORT = 9223


class Tab:
    def __init__(self, socket):
        self.socket, self.n, self.events = socket, 0, []

    async def call(self, method, **parameters):
        self.n += 1
        await self.socket.send_json({"id": self.n, "method": method, "params": parameters})
        while True:
            message = await self.socket.receive_json(timeout=60)
            if message.get("id") == self.n:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self.events.append(message)

    async def value(self, expression):
        result = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression):
        for _ in range(200):
            if await self.value(expression):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"this never came true: {expression}")

    async def choose(self, path):
        document = await self.call("DOM.getDocument")
        node = await self.call("DOM.querySelector", nodeId=document["root"]["nodeId"], selector="#file")
        await self.call("DOM.setFileInputFiles", nodeId=node["nodeId"], files=[path])

    async def screenshot(self, name):
        image = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{name}.png").write_bytes(base64.b64decode(image["data"]))


async def visit(tab, width, height, scheme):
    name = f"{width}-{scheme}"
    await tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
    await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    await tab.call("Page.navigate", url=f"http://127.0.0.1:{PORT}/")
    await tab.until("document.readyState === 'complete' && document.getElementById('model').textContent.includes('version')")
    await tab.choose(IMAGE)
    await tab.until("!document.getElementById('result').hidden")
    answer = await tab.value("document.getElementById('class').textContent")
    await tab.value("document.getElementById('explain').click()")
    await tab.until("!document.getElementById('map').hidden")
    assert await tab.value("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the screen"
    await tab.screenshot(name)
    with tempfile.NamedTemporaryFile(suffix=".png") as broken:
        broken.write(b"no image")
        broken.flush()
        await tab.choose(broken.name)
        await tab.until("document.getElementById('error').textContent.includes('no image')")
    await tab.screenshot(f"{name}-error")
    await tab.call("Page.navigate", url=f"http://127.0.0.1:{PORT}/docs")
    await tab.until("document.querySelectorAll('details').length > 10")
    await tab.value("document.querySelectorAll('details')[4].open = true")
    await tab.screenshot(f"{name}-docs")
    print(f"{name}: {answer}")


async def main():
    with tempfile.TemporaryDirectory() as profile:
        words = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        browser = subprocess.Popen([*words, f"--remote-debugging-port={DEBUG_PORT}", "about:blank"], stderr=subprocess.DEVNULL)
        try:
            async with aiohttp.ClientSession() as session:
                for _ in range(300):
                    try:
                        tabs = await (await session.get(f"http://127.0.0.1:{DEBUG_PORT}/json")).json()
                        break
                    except aiohttp.ClientError:
                        await asyncio.sleep(0.1)
                [address] = [tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"][:1]
                async with session.ws_connect(address, max_msg_size=0) as socket:
                    tab = Tab(socket)
                    for domain in ("Page", "Runtime", "DOM", "Network", "Log"):
                        await tab.call(f"{domain}.enable")
                    for width, height in ((390, 844), (1280, 900)):
                        for scheme in ("light", "dark"):
                            await visit(tab, width, height, scheme)
                    check(tab.events)
        finally:
            browser.terminate()
            browser.wait()


def check(events):
    for event in events:
        if event["method"] == "Network.requestWillBeSent":
            url = event["params"]["request"]["url"]
            assert url.startswith((f"http://127.0.0.1:{PORT}/", "blob:", "data:")), f"the page asked for {url}"
        assert event["method"] != "Runtime.exceptionThrown", event
        if event["method"] == "Log.entryAdded":
            entry = event["params"]["entry"]
            # The refusals that the script provokes itself.
            assert "422" in entry["text"], entry


asyncio.run(main())
