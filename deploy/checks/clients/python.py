"""python.py CLIENT URL PHOTO LOGO OPTIONS: posts both images with a client of Python in its usual ways.

Part of deploy/check-clients, which says what a line of the output means. Imports only the client that is asked for.
"""

import asyncio
import base64
import json
import sys

client, url, photo, logo, options = sys.argv[1:]
options = json.loads(options)
embed = url + "/embed"
files = [open(name, "rb").read() for name in (photo, logo)]
# As people have them: not ASCII, with a space, a quotation mark and a backslash.
NAMES = ["фото 1.jpg", 'a "b"\\c.png']
texts = [base64.b64encode(file).decode() for file in files]
broken = [base64.encodebytes(file).decode() for file in files]
uris = ["data:image/jpeg;base64," + texts[0], "data:image/png;base64," + texts[1]]


def record(what, status, body, images=2, **more):
    print(json.dumps({"what": what, "status": status, "body": body, "images": images, **more}))


def documents():
    yield "JSON", {"images": texts, **options}
    yield "JSON with the line breaks of encodebytes", {"images": broken, **options}
    yield "JSON with data: URIs", {"images": uris, **options}
    yield "JSON with members that are None", {"images": texts, "at": None, "taps": None, **options}


def with_requests():
    import requests

    def post(what, images=2, says=None, **arguments):
        answer = requests.post(embed, timeout=60, **arguments)
        record(what, answer.status_code, answer.text, images, **({"says": says} if says else {}))

    parts = [("image", open(photo, "rb")), ("image", open(logo, "rb"))]
    post("files as opened, fields in data", files=parts, data=options)
    post("names that aren't ASCII or have quotation marks", data=options,
         files=[("file", (name, file, "image/jpeg")) for name, file in zip(NAMES, files)])
    post("one file in a dictionary, a field as a part without a file name", 1,
         files={"image": files[0], **{name: (None, value) for name, value in options.items()}})
    post("a part of image without a file name", 1, files={"image": (None, files[0])}, data=options)
    post("raw bytes, options in the query", 1, data=files[0], params=options)
    post("a file as it is read, in chunks", 1, data=iter([files[0][:1000], files[0][1000:]]), params=options)
    for what, document in documents():
        post(what, json=document)
    post("JSON without its content type", says="set Content-Type: application/json",
         data=json.dumps({"images": texts, **options}))
    post("base64 in a dictionary of data", says="curl -F image=@FILE", data={"image": texts[0]})
    post("a URL instead of an image", says="doesn't fetch", json={"images": ["https://example.org/a.jpg"]})
    post("its own content type for a form", says="let the HTTP client set", files={"image": files[0]},
         headers={"Content-Type": "multipart/form-data"})


def with_httpx():
    import httpx

    def post(what, images=2, **arguments):
        answer = httpx.post(embed, timeout=60, **arguments)
        record(what, answer.status_code, answer.text, images)

    post("files as opened, fields in data", data=options, files=[("image", open(photo, "rb")), ("image", open(logo, "rb"))])
    post("names that aren't ASCII or have quotation marks", data=options,
         files=[("file", (name, file, "image/jpeg")) for name, file in zip(NAMES, files)])
    post("raw bytes, options in the query", 1, content=files[0], params=options)
    for what, document in documents():
        post(what, json=document)


def with_aiohttp():
    import aiohttp

    def form(quote_fields, names, **more):
        form = aiohttp.FormData(quote_fields=quote_fields)
        for name, file in zip(names, files):
            form.add_field("image", file, filename=name, **more)
        for name, value in options.items():
            form.add_field(name, value)
        return form

    async def run():
        async with aiohttp.ClientSession() as session:
            async def post(what, images=2, **arguments):
                async with session.post(embed, **arguments) as answer:
                    record(what, answer.status, await answer.text(), images)

            await post("FormData", data=form(True, ["a.jpg", "b.png"]))
            await post("FormData with names that aren't ASCII, percent-encoded", data=form(True, NAMES))
            await post("FormData with names as they are, quotation marks escaped", data=form(False, NAMES))
            await post("FormData with types of its own", data=form(True, NAMES, content_type="image/jpeg"))
            await post("a dictionary of opened files", 1, data={"image": open(photo, "rb"), **options})
            await post("raw bytes, options in the query", 1, data=files[0], params=options)
            for what, document in documents():
                await post(what, json=document)

    asyncio.run(run())


{"requests": with_requests, "httpx": with_httpx, "aiohttp": with_aiohttp}[client]()
