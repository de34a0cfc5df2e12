# Airlock for pipelines and jobs: no compiler, no root, the project mounted or copied at /project.
#   docker build -t airlock .                                      with psycopg (3)
#   docker build -t airlock --build-arg EXTRAS=psycopg2,asyncpg,embedded .
#   docker run --rm -v "$PWD:/project" -e DATABASE_URL airlock upgrade
# What env.py imports is the project's own: add it in an image FROM this one, by `pip install --user -r requirements.txt`.
ARG PYTHON=3.12-slim

FROM python:${PYTHON} AS built
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY airlock airlock
ARG EXTRAS=psycopg
RUN python -m venv /airlock \
    && /airlock/bin/pip install --no-cache-dir --only-binary :all: hatchling==1.33.0 \
    && /airlock/bin/python -m hatchling build -t wheel -d /wheels \
    && /airlock/bin/pip uninstall --yes --quiet hatchling pathspec pluggy trove-classifiers \
    && /airlock/bin/pip install --no-cache-dir --only-binary :all: "$(ls /wheels/*.whl)[${EXTRAS}]" \
    && /airlock/bin/pip uninstall --yes --quiet pip \
    && find /airlock -name __pycache__ -prune -exec rm -rf {} +

FROM python:${PYTHON}
RUN useradd --create-home --uid 10001 airlock
COPY --from=built /airlock /airlock
ENV PATH=/home/airlock/.local/bin:/airlock/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /project
ENTRYPOINT ["airlock"]
CMD ["--help"]
