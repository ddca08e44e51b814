"""Serves the files of a static site on a unix socket: ``python -m factory.apps.static_site FOLDER SOCKET``.

Types, ranges, ``ETag`` and ``Last-Modified`` are aiohttp's; ``/about`` is ``about.html`` or ``about/index.html``, and
``404.html`` answers what is not there.
"""

import asyncio
import mimetypes
import signal
import sys
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

_FOLDER: web.AppKey[Path] = web.AppKey("folder", Path)
_INDEX, _MISSING = "index.html", "404.html"
_SMALLEST = 1024
_COMPRESSED = ("text/", "application/javascript", "application/json", "application/xml", "image/svg+xml")


async def _serve(request: web.Request) -> web.StreamResponse:
    if request.method not in {"GET", "HEAD"}:
        return web.Response(status=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET, HEAD"})
    folder = request.app[_FOLDER]
    wanted = request.match_info["path"]
    found = _file(folder, wanted)
    if found is None:
        missing = folder / _MISSING
        if not missing.is_file():
            return web.Response(status=HTTPStatus.NOT_FOUND, text="404: not found\n")
        return web.Response(status=HTTPStatus.NOT_FOUND, body=missing.read_bytes(), content_type="text/html")
    if found.name == _INDEX and wanted and not wanted.endswith(("/", _INDEX)):
        return web.Response(status=HTTPStatus.MOVED_PERMANENTLY, headers={"Location": f"/{wanted}/"})
    answer = web.FileResponse(found, headers={"Cache-Control": "no-cache"})
    kind = mimetypes.guess_type(found.name)[0] or ""
    if kind.startswith(_COMPRESSED) and found.stat().st_size >= _SMALLEST and "Range" not in request.headers:
        return _compressed(request, found, kind)
    return answer


def _compressed(request: web.Request, found: Path, kind: str) -> web.Response:
    stat = found.stat()
    tag = f"{stat.st_mtime_ns:x}-{stat.st_size:x}"
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding", "ETag": f'W/"{tag}"'}
    if any(item.value in {tag, "*"} for item in request.if_none_match or ()):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    charset = "utf-8" if kind.startswith("text/") else None
    made = web.Response(body=found.read_bytes(), headers=headers, content_type=kind, charset=charset)
    made.enable_compression()
    return made


def _file(folder: Path, wanted: str) -> Path | None:
    """Return the file of a path; no link and no ``..`` leads out of the folder."""
    for name in (wanted, f"{wanted}.html", f"{wanted}/{_INDEX}"):
        try:
            path = (folder / name.strip("/") / (_INDEX if not name or name.endswith("/") else "")).resolve()
            if path.is_file() and path.is_relative_to(folder):
                return path
        except (OSError, ValueError):
            return None
    return None


async def _main(folder: Path, path: str) -> None:
    app = web.Application()
    app[_FOLDER] = folder
    app.router.add_route("*", "/{path:.*}", _serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]).resolve(), sys.argv[2]))
