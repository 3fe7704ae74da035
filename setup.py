"""The manifest of the core distribution `hawkfish`; pyproject.toml holds the build system and the tools only."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="hawkfish",
    version="0.8.0.dev0",
    license_expression="Apache-2.0",
    python_requires=">=3.11",
    description="Virtual machines that behave like real servers with a Redfish BMC, on any number of hosts",
    long_description=Path(__file__).with_name("README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    packages=find_packages(include=["hawkfish", "hawkfish.*"]),
    package_data={"hawkfish": ["py.typed", "db/migrations/*.mako"]},
    install_requires=[
        "alembic>=1.18,<2",
        "argon2-cffi>=25.1,<26",
        "cliff>=4.13,<5",
        "cryptography>=48",
        "environs>=15,<16",
        "falcon>=4.3,<5",
        "gevent>=25.9",
        "gevent-websocket>=0.10.1,<0.11",
        "gunicorn>=25,<28",
        "httpx>=0.28,<0.29",
        "marshmallow>=4.1,<5",
        # gunicorn's gevent worker imports it without declaring it.
        "packaging>=25",
        "pillow>=12,<14",
        "platformdirs>=4.5,<5",
        "pluggy>=1.6,<2",
        "prometheus-client>=0.24,<1",
        "psutil>=7.2,<8",
        "psycopg[binary]>=3.3,<4",
        "rich>=14.2,<16",
        "shtab>=1.8,<2",
        "sqlalchemy>=2.0.45,<2.2",
        "stevedore>=5.5",
        "structlog>=25.5",
        "tenacity>=9.1,<10",
    ],
    extras_require={"testing": ["hypothesis>=6.150,<7", "pytest>=9,<10"]},
    entry_points={
        "console_scripts": ["hawkfish = hawkfish.cli.main:main"],
        "hawkfish": ["core = hawkfish.builtin.plugin"],
    },
)
