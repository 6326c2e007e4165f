# syntax=docker/dockerfile:1
# Built by `make image`. BASE: an image with Debian's apt and Python 3.11 or later.
ARG BASE=python:3.11.14-slim-bookworm

FROM ${BASE} AS builder
# The compiler stays in this stage; its version follows the pinned base.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev \
    && if [ ! -e "$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]; then \
      apt-get install -y --no-install-recommends python3-dev; \
    fi
RUN python3 -m venv /build && python3 -m venv --without-pip /opt/vecraft
WORKDIR /source
COPY pyproject.toml requirements.lock ./
# The packages are a layer of their own, which changes of the code leave as it is: what pyproject.toml names, in
# the versions of the lock.
RUN /build/bin/python -c "import tomllib; print('\n'.join(tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']))" \
      > needed.txt \
    && /build/bin/pip --python /opt/vecraft/bin/python install --no-cache-dir --only-binary :all: --no-binary pysyncobj \
      --constraint requirements.lock --requirement needed.txt \
    && find /opt/vecraft -depth -type d \( -name tests -o -name test \) -path '*/site-packages/*' -exec rm -rf {} + \
    && find /opt/vecraft/lib/python3*/site-packages/botocore/data -mindepth 1 -maxdepth 1 -type d \
      ! -name s3 ! -name sts ! -name 'sso*' ! -name signin -exec rm -rf {} +
COPY README.md LICENSE ./
COPY tools/bill_of_materials.py tools/
COPY protos protos
COPY consensus consensus
COPY node node
COPY router router
COPY vecraft vecraft
ARG REVISION=
RUN /build/bin/pip --python /opt/vecraft/bin/python install --no-cache-dir --no-deps . \
    && echo "${REVISION}" > "$(echo /opt/vecraft/lib/python3*/site-packages/vecraft)/COMMIT" \
    && mkdir /opt/vecraft/share \
    && /opt/vecraft/bin/python tools/bill_of_materials.py > /opt/vecraft/share/bom.cdx.json

FROM ${BASE}
ARG REVISION=
ARG VERSION=
LABEL org.opencontainers.image.title="Vecraft" \
      org.opencontainers.image.description="A distributed vector database that speaks Qdrant's API" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      vecraft.bill-of-materials="/opt/vecraft/share/bom.cdx.json"
RUN groupadd --gid 2000 vecraft && useradd --uid 1000 --gid 2000 --no-create-home --shell /usr/sbin/nologin vecraft \
    && mkdir -p /vecraft/storage /vecraft/snapshots && chown -R 1000:2000 /vecraft
COPY --from=builder /opt/vecraft /opt/vecraft
ENV PATH=/opt/vecraft/bin:${PATH} PYTHONDONTWRITEBYTECODE=1
WORKDIR /vecraft
USER 1000:2000
VOLUME ["/vecraft/storage", "/vecraft/snapshots"]
EXPOSE 6333 6334 6335
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
  CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://localhost:6333/readyz', timeout=4)"]
ENTRYPOINT ["vecraft"]
CMD ["serve"]
