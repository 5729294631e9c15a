# A Redis for tests, as Debian packages it: durable, and it never evicts.
ARG BASE_IMAGE=python:3.13-slim
FROM ${BASE_IMAGE}
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends redis-server \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
 && mkdir /data && chown 65532:65532 /data
USER 65532:65532
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["redis-server", "--protected-mode", "no", "--appendonly", "yes", "--dir", "/data"]
