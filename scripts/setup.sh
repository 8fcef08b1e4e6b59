#!/usr/bin/env bash
# Makes a Debian 12 machine with Rust ready to build and test, once; quick when there is nothing
# to do. Every make target calls it. The system's own Postgres is read, never changed: the
# extension goes into a private copy.
# Usage: setup.sh [--build-only]    (what `make install` needs: no private copy, no user)
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

packages=(build-essential pkg-config libclang-dev ca-certificates)
if [ "${1:-}" != --build-only ]; then
    packages+=(python3-venv "postgresql-$PG_MAJOR" "postgresql-server-dev-$PG_MAJOR")
fi

install_packages() {
    local missing=() package
    for package in "${packages[@]}"; do
        [ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" = "install ok installed" ] ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "these Debian packages are needed: ${missing[*]}"
    local sudo=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null ||
            die "not root and no sudo: install these packages first: ${missing[*]}"
        sudo=(sudo)
    fi
    say "installing ${missing[*]}"
    "${sudo[@]}" apt-get update -q
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends)
    # Debian's package starts a server of its own when installed: we want the programs only.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        "${sudo[@]}" "${install[@]}" postgresql-common
        "${sudo[@]}" sed -ri 's/^#?(create_main_cluster) .*$/\1 = false/' \
            /etc/postgresql-common/createcluster.conf
    fi
    "${sudo[@]}" "${install[@]}" "${missing[@]}"
}

check_rust() {
    command -v cargo >/dev/null || die "Rust $RUST_VERSION or newer is needed: see https://rustup.rs"
    local have
    have=$(rustc --version | awk '{print $2}')
    [ "$(printf '%s\n' "$RUST_VERSION" "$have" | sort -V | head -n 1)" = "$RUST_VERSION" ] ||
        die "Rust $RUST_VERSION or newer is needed, this is $have: rustup update"
    # rustup's minimal profile comes without these two.
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
}

install_cargo_pgrx() {
    local have
    have=$(cargo pgrx --version 2>/dev/null | awk '{print $2}') || true
    [ "$have" = "$PGRX_VERSION" ] && return 0
    say "building cargo-pgrx $PGRX_VERSION (once)"
    cargo install cargo-pgrx --version "=$PGRX_VERSION" --locked --root "$TARGET/tools"
}

# pg_config finds everything relative to itself, so a copy is a Postgres of its own.
copy_postgres() {
    local system=/usr/lib/postgresql/$PG_MAJOR/bin/postgres version
    [ -x "$system" ] || die "no Postgres $PG_MAJOR in /usr/lib/postgresql"
    version=$("$system" --version)
    [ "$(cat "$PG_PREFIX_RELEASE/version" 2>/dev/null)" = "$version" ] && return 0
    say "copying $version to $PG_PREFIX"
    rm -rf "$PG_PREFIX" "$RUN_DIR/template"
    mkdir -p "$PG_PREFIX/lib/postgresql" "$PG_PREFIX/share/postgresql"
    cp -a "/usr/lib/postgresql/$PG_MAJOR" "$PG_PREFIX/lib/postgresql/"
    cp -a "/usr/share/postgresql/$PG_MAJOR" "$PG_PREFIX/share/postgresql/"
    ln -s /usr/include "$PG_PREFIX/include"
    printf '%s\n' "$version" >"$PG_PREFIX/version"
    rm -rf "$PG_PREFIX_RELEASE"
    cp -a "$PG_PREFIX" "$PG_PREFIX_RELEASE"
}

# What the Rust harness reads (tests/src/environment.rs), beside the build products.
write_environment() {
    mkdir -p "$TARGET/dev" "$PGRX_HOME"
    # Only when it changes: pgrx builds its bindings anew after a look at this file's date.
    local config
    config=$(printf '[configs]\npg%s = "%s/pg_config"' "$PG_MAJOR" "$PG_BIN")
    [ "$(cat "$PGRX_HOME/config.toml" 2>/dev/null)" = "$config" ] ||
        printf '%s\n' "$config" >"$PGRX_HOME/config.toml"
    cat >"$TARGET/dev/environment" <<EOF
root=$ROOT
run_dir=$RUN_DIR
pg_bin=$PG_BIN
pg_bin_release=$PG_BIN_RELEASE
pg_major=$PG_MAJOR
pg_user=$PG_USER
EOF
}

prepare_run_dir() {
    # As root the directory must be ours alone: others could plant a Postgres in it.
    (umask 022 && mkdir -p "$RUN_DIR")
    [ "$(stat -c %u "$RUN_DIR")" = "$(id -u)" ] || die "$RUN_DIR belongs to somebody else"
    chmod 755 "$RUN_DIR"
    [ "$RUN_DIR" = "$TARGET/dev" ] || say "Postgres' files are in $RUN_DIR ($PG_USER can't reach $TARGET)"
}

install_packages
check_rust
if [ "${1:-}" = --build-only ]; then
    install_cargo_pgrx
    mkdir -p "$PGRX_HOME"
    [ -e "$PGRX_HOME/config.toml" ] || echo '[configs]' >"$PGRX_HOME/config.toml"
    exit 0
fi
# The package has made the user: only now is it known what it can reach.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
prepare_run_dir
exec 8>"$RUN_DIR/setup.lock"
flock 8
install_cargo_pgrx
copy_postgres
write_environment
