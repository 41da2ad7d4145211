"""A small HTTP client for the API of a host, from outside the host's network namespace."""

import http.client
import json


class Response:
    """An answer: status, headers (case does not matter in get), body as bytes."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        warning = self.headers.get("Warning")
        return f"<Response {self.status} {self.body[:200]!r}{f' Warning: {warning}' if warning else ''}>"


def request(sock, host, method, path, body=None, headers=None):
    """Send one request over a connected socket, close it, and return the Response.

    A body that is not bytes or text is sent as JSON.
    """
    headers = dict(headers or {})
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    if body is not None:
        headers.setdefault("Content-Type", "application/json")
    if isinstance(body, str):
        body = body.encode()
    connection = http.client.HTTPConnection(host)
    connection.sock = sock
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return Response(answer.status, answer.headers, answer.read())
    finally:
        connection.close()
