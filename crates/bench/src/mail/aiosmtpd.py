"""aiosmtpd with a handler that keeps nothing: PORT CERTIFICATE KEY."""

import asyncio
import ssl
import sys

from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP


async def main(port, certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Sink(), tls_context=context, loop=loop),
        "127.0.0.1",
        int(port),
        backlog=1000,
    )
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
