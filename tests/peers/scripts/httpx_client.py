"""httpx over HTTP/1.1 and over HTTP/2: httpx_client.py HOST:PORT FOLDER. Ends with `fine` on its last line."""

import asyncio, hashlib, os, sys

import httpx

place, folder = sys.argv[1:]
page = open(os.path.join(folder, "page"), "rb").read()
large = hashlib.sha256(open(os.path.join(folder, "large"), "rb").read()).digest()


async def requests(http1):
    async with httpx.AsyncClient(http1=http1, http2=not http1, base_url=f"http://{place}", timeout=60) as client:
        answers = await asyncio.gather(*(client.get("/page") for _ in range(20)))
        assert all(answer.status_code == 200 and answer.content == page for answer in answers), answers
        assert {answer.http_version for answer in answers} == {"HTTP/1.1" if http1 else "HTTP/2"}, answers
        assert (await client.head("/page")).headers["content-length"] == str(len(page))
        assert (await client.post("/upload", content=page)).content == page

        async def pieces():
            for at in range(0, len(page), 10_000):
                yield page[at : at + 10_000]

        assert (await client.post("/upload", content=pieces())).content == page
        got = hashlib.sha256()
        async with client.stream("GET", "/large") as response:
            async for piece in response.aiter_raw():
                got.update(piece)
        assert got.digest() == large


asyncio.run(requests(http1=True))
asyncio.run(requests(http1=False))
print("fine")
