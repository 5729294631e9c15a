# forq of this checkout in a virtual environment: for tests that need no image of the product.
ARG BASE_IMAGE=python:3.13-slim
FROM ${BASE_IMAGE} AS build
ARG EXTRAS=""
COPY . /source
RUN python -m venv /opt/forq \
 && /opt/forq/bin/pip install --no-cache-dir --disable-pip-version-check "/source${EXTRAS}"

FROM ${BASE_IMAGE}
COPY --from=build /opt/forq /opt/forq
ENV PATH=/opt/forq/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["forq"]
