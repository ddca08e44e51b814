"""Apps in the layouts that people have, as files by path."""

FLASK = {
    "shop/__init__.py": (
        "import os\nfrom flask import Flask\n\napp = Flask(__name__)\n\n\n"
        '@app.get("/healthz")\ndef healthz():\n    return {"release": os.environ["RELEASE"]}\n'
    ),
    "tests/test_shop.py": "def test_shop():\n    assert True\n",
    "Procfile": "web: gunicorn --bind unix:$SOCKET shop:app\n",
    "requirements.txt": "flask\ngunicorn\n",
}
PACKAGED = {
    "pyproject.toml": '[project]\nname = "count"\nversion = "1"\ndependencies = []\n',
    "src/__main__.py": (
        "import os, http.server\n\n\nclass Handler(http.server.BaseHTTPRequestHandler):\n    def do_GET(self):\n"
        '        self.send_response(200)\n        self.end_headers()\n        self.wfile.write(b"counted")\n\n\n'
        'http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()\n'
    ),
}
NODE = {
    "package.json": (
        '{"name": "hours", "version": "1.0.0", "scripts": {"start": "node build/server.js", "build": "tsc"},'
        ' "dependencies": {"ms": "2.1.3"}, "devDependencies": {"typescript": "5.6.3"}}'
    ),
    "tsconfig.json": '{"compilerOptions": {"module": "commonjs", "target": "es2020", "types": [], "outDir": "build"}}',
    "server.ts": (
        "declare function require(name: string): any;\ndeclare const process: any;\n"
        'const ms = require("ms");\n'
        'require("http").createServer((_: any, answer: any) => answer.end(ms(60000))).listen(process.env.SOCKET);\n'
    ),
    "app.yml": "listen: socket\n",
}
SITE = {
    "make.py": (
        'import pathlib\n\npathlib.Path("dist").mkdir()\n'
        'pathlib.Path("dist/index.html").write_text("<h1>built</h1>" * 200)\n'
        'pathlib.Path("dist/about.html").write_text("about us")\n'
    ),
    "app.yml": "kind: static\nbuild: {command: [python3, make.py]}\n",
}
COMPILED = {
    "Makefile": "server: server.c\n\tcc -O1 -o server server.c\n",
    "server.c": """
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/un.h>
int main() {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const char *answer = "HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok";
    char asked[4096];
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), one;
    strncpy(at.sun_path, getenv("SOCKET"), sizeof at.sun_path - 1);
    bind(listener, (void *)&at, sizeof at);
    for (listen(listener, 64); (one = accept(listener, 0, 0)) >= 0; close(one)) {
        read(one, asked, sizeof asked);
        write(one, answer, strlen(answer));
    }
}
""",
    "app.yml": ("kind: command\nbuild: {command: [make], files: [server]}\nrun: [./server]\nlisten: socket\n"),
}
