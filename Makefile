# smbgate: everything there is to do. `make run` and `make test` set themselves up on a fresh machine.

CARGO ?= cargo
PREFIX ?= /usr
DESTDIR ?=
SHARE ?=
TARGET := $(or $(CARGO_TARGET_DIR),target)
BINARY := $(TARGET)/release/smbgate
INSTALL := install -D -p

export CARGO

.PHONY: help run test build install uninstall bench fuzz lint man

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1	\2/p' Makefile | expand -t 12

run: ## Build and serve demo/, or SHARE=/path; prints how to connect
	@scripts/run $(if $(SHARE),"$(SHARE)")

test: ## Install what the tests need and run them all
	@tests/run

build: ## The release binary
	$(CARGO) build --release --locked

# Installs what `make build` made, so that `sudo make install` needs no cargo.
install: ## Install beneath DESTDIR (PREFIX=/usr)
	@test -x $(BINARY) || { echo "make install: first: make build"; exit 1; }
	$(INSTALL) -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/smbgate
	$(INSTALL) -m 644 man/smbgate.8 $(DESTDIR)$(PREFIX)/share/man/man8/smbgate.8
	$(INSTALL) -m 644 man/smbgate.toml.5 $(DESTDIR)$(PREFIX)/share/man/man5/smbgate.toml.5
	$(INSTALL) -m 644 systemd/smbgate.service $(DESTDIR)$(PREFIX)/lib/systemd/system/smbgate.service
	sed -i 's|/usr/bin/smbgate|$(PREFIX)/bin/smbgate|' $(DESTDIR)$(PREFIX)/lib/systemd/system/smbgate.service
	$(INSTALL) -m 644 systemd/smbgate.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/smbgate.conf
	$(INSTALL) -m 644 systemd/smbgate.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/smbgate.conf
	$(INSTALL) -m 644 systemd/smbgate.toml $(DESTDIR)$(PREFIX)/share/doc/smbgate/smbgate.toml
	$(INSTALL) -m 644 systemd/views.conf $(DESTDIR)$(PREFIX)/share/doc/smbgate/views.conf
	$(INSTALL) -m 644 README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE -t $(DESTDIR)$(PREFIX)/share/doc/smbgate

uninstall: ## Remove what install put there; configuration and state stay
	rm -f $(DESTDIR)$(PREFIX)/bin/smbgate $(DESTDIR)$(PREFIX)/share/man/man8/smbgate.8 \
		$(DESTDIR)$(PREFIX)/share/man/man5/smbgate.toml.5 $(DESTDIR)$(PREFIX)/lib/systemd/system/smbgate.service \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/smbgate.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/smbgate.conf
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/smbgate

bench: ## Compare with Samba's smbd on this machine
	@benches/run
	@benches/handles
	@benches/view

fuzz: ## Fuzz every decoder for a while
	@fuzz/run

lint: ## Format and lints, held at zero
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings

man: ## Write the manual pages and the example configuration from the tables
	UPDATE=1 $(CARGO) test --locked --test house manual_pages
