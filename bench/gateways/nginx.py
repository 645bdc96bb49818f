"""nginx `proxy_pass`: the yardstick. It forwards and does nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from string import Template

from bench.gateways.base import CACHE, Gateway, Launch, Unavailable, output_of

__all__ = ["Nginx"]

_CONFIG = Template("""\
daemon off;
worker_processes 1;
pid nginx.pid;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy;
  fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  client_body_buffer_size 64k;
  keepalive_requests 1000000000;
  upstream mock { server 127.0.0.1:$upstream_port; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:$port;
    location / {
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;  # streamed answers must pass at once, as with every gateway here
    }
  }
}
""")
_UNPACKED = CACHE / "nginx"


def _find() -> str | None:
    places = (os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", str(_UNPACKED / "usr" / "sbin"))
    return shutil.which("nginx", path=os.pathsep.join(places))


def _unpack_debian_package() -> None:
    """Fetch and unpack, but don't install: installing would need root and start a web server on port 80."""
    downloads = CACHE / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    try:
        output_of(["apt-get", "download", "nginx"], seconds=60, cwd=downloads)
    except Unavailable:
        output_of(["apt-get", "update", "-qq"], seconds=120)  # fresh containers have no package lists
        output_of(["apt-get", "download", "nginx"], seconds=60, cwd=downloads)
    for package in downloads.glob("nginx_*.deb"):
        output_of(["dpkg-deb", "-x", str(package), str(_UNPACKED)])


class Nginx(Gateway):
    """From the machine, or from Debian's package unpacked under `.bench/`."""

    name = "nginx `proxy_pass`"
    does = "forwards over kept-alive connections; no identity, no policy, no record"

    def prepare(self) -> None:
        if _find() is None:
            _unpack_debian_package()
        self.version()

    def version(self) -> str:
        program = _find()
        if program is None:
            raise Unavailable("nginx is not installed and its Debian package could not be fetched")
        return output_of([program, "-v"]).rpartition("/")[2]

    def launch(self, port: int, upstream_port: int, directory: Path) -> Launch:
        (directory / "nginx.conf").write_text(
            _CONFIG.substitute(port=port, upstream_port=upstream_port), encoding="utf-8"
        )
        return Launch([_find() or "nginx", "-p", str(directory), "-e", "stderr", "-c", "nginx.conf"])
