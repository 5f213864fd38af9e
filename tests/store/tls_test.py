#!/usr/bin/env python3
"""TLS: certificates are checked, and nothing leads from https to http.

Usage: tls_test.py RECKON [TEST...]
"""

import http.server
import pathlib
import ssl
import threading

from store_harness import FILE, NAME, StoreTests, main

FIXTURES = pathlib.Path(__file__).resolve().parent / "fixtures"


class Tls(StoreTests):
    def serve(self, certificate, location=None):
        """A server of the one file, or of a redirect; returns its port."""
        data, seen = self.data, []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                seen.append(self.path)
                self.send_response(302 if location else 200)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", "0" if location else str(len(data)))
                self.end_headers()
                if not location:
                    self.wfile.write(data)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        server = Server(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(FIXTURES / f"{certificate}.pem")
            server.socket = context.wrap_socket(server.socket, server_side=True,
                                                do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02},
                         daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.seen = seen
        return server.server_port

    def test_a_trusted_certificate(self):
        self.variables["SSL_CERT_FILE"] = str(FIXTURES / "ca.pem")
        for host in ("localhost", "127.0.0.1"):
            self.pulled(f"https://{host}:{self.serve('good')}/{FILE}")
            self.expect(0, "rm", FILE.removesuffix(".gguf"))

    def test_certificates_that_are_not_trusted(self):
        trusted = {"SSL_CERT_FILE": str(FIXTURES / "ca.pem")}
        for certificate, variables in (("good", {}), ("self", {}), ("self", trusted),
                                       ("other", trusted), ("expired", trusted)):
            for host in ("localhost", "127.0.0.1"):
                port = self.serve(certificate)
                self.expect_error(1, "its certificate is not trusted", "pull",
                                  f"https://{host}:{port}/{FILE}", env=variables)
                self.assertEqual(self.seen, [])

    def test_no_tls_at_all(self):
        port = self.serve(None)
        self.expect_error(1, "no secure connection", "pull", f"https://localhost:{port}/{FILE}")
        self.assertEqual(self.seen, [])

    def test_nothing_leads_from_https_to_http(self):
        self.variables["SSL_CERT_FILE"] = str(FIXTURES / "ca.pem")
        plain = self.serve(None)
        plain_seen = self.seen
        port = self.serve("good", f"http://127.0.0.1:{plain}/{FILE}")
        self.expect_error(1, "from https to http", "pull", f"https://127.0.0.1:{port}/{FILE}")
        self.assertEqual(plain_seen, [])
        # The other way is fine.
        secure = self.serve("good")
        port = self.serve(None, f"https://127.0.0.1:{secure}/{FILE}")
        self.pulled(f"http://127.0.0.1:{port}/{FILE}")

    def test_the_hub_over_tls(self):
        """The hub's own host name is checked as well."""
        self.variables["SSL_CERT_FILE"] = str(FIXTURES / "ca.pem")
        self.variables["HF_ENDPOINT"] = f"https://localhost:{self.serve('other')}"
        self.expect_error(1, "its certificate is not trusted", "pull", NAME)


if __name__ == "__main__":
    main()
