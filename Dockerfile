# One image for every process: it starts the API by default, the others by their commands (README, "Operating").
# The base is an argument, so that you can use a mirror or a hardened Python; it needs python3 (3.11 or newer) with venv.
ARG BASE=python:3.13-slim-trixie

# Makes the virtual environment at the path that it has in the last stage. Every download is checked against the locks' hashes.
FROM ${BASE} AS build
RUN groupadd --gid 10001 quotewell \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /opt/quotewell --shell /usr/sbin/nologin quotewell
RUN python3 -m venv /build/tools && python3 -m venv --without-pip /opt/quotewell
WORKDIR /build/source
COPY requirements requirements
RUN /build/tools/bin/pip --python /opt/quotewell/bin/python install --no-cache-dir --require-hashes --only-binary :all: \
    -r requirements/production.txt
# Building the wheel of our own source needs one tool from the development lock; it stays in this stage.
RUN sed -n '/^setuptools==/,/# via/p' requirements/development.txt > /build/tools.txt \
    && /build/tools/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r /build/tools.txt
COPY . .
RUN /build/tools/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --no-index --wheel-dir /build/wheels . \
    && /build/tools/bin/pip --python /opt/quotewell/bin/python install --no-cache-dir --no-deps --no-index /build/wheels/*.whl

# This stage only copies, so it contains no caches, package lists or logs.
FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="quotewell" \
    org.opencontainers.image.description="Real stock quotes for many users from one stingy market-data key." \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.source="${SOURCE}"
COPY --from=build /etc/passwd /etc/group /etc/
COPY --from=build /opt/quotewell /opt/quotewell
# HOST: nobody outside can reach a container's loopback, whatever QUOTEWELL_ENV says.
ENV PATH=/opt/quotewell/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0
# The working directory comes first on Python's path, so it must be one that the user cannot write to.
WORKDIR /opt/quotewell
USER 10001:10001
EXPOSE 5001
# For the API. Start the other processes with `--no-healthcheck`.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["python", "-I", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 5001), timeout=3); c.request('GET', '/api/health/live'); raise SystemExit(c.getresponse().status != 200)"]
# SIGTERM ends every process gracefully: gunicorn finishes its requests, a worker its task, and beat ends between two ticks.
STOPSIGNAL SIGTERM
# No entry point and no init: each command is process 1, receives the signal, and reaps its children; none leaves orphans.
CMD ["gunicorn", "--config", "python:api.serve", "api.serve:open_app"]
