# SPDX-License-Identifier: GPL-2.0-or-later
#
# blkcast: everything is built below .build, nothing beside the sources.
#
#   .build/kmod-KERNEL   a copy of Kbuild and kmod/ and the module made of it:
#                        one source tree cannot serve two kernels at once
#   .build/tools, bpf    what tools/ and bpf/ build (they are told by O)
#   .build/tools-asan    the tools, with ASan and UBSan
#   .build/selftests     the test harness and the unit tests
#   .build/log           what `make check` left
#
# `make help` lists the targets.

KERNELS ?= 6.12 6.1
PREFIX ?= /usr
export BLKCAST_CACHE ?= /var/cache/blkcast

B := $(CURDIR)/.build
JOBS ?= $(shell nproc)
MAKEFLAGS += --no-print-directory
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(JOBS)
endif
export PATH := $(PATH):/usr/sbin:/sbin

all: module tools bpf

help:
	@echo "make            module (for $(KERNELS)), tools and BPF programs"
	@echo "make deps       installs what is missing (apt, root), unpacks test kernels"
	@echo "make module     the module alone; module-6.12 for one kernel"
	@echo "make tools bpf  blkcast, blkcastd; blkcast lag"
	@echo "make demo       three hosts, one volume, the whole way (6 minutes)"
	@echo "make check      gates, unit tests, guests: all on 6.12, a core set on 6.1"
	@echo "make check TESTS=PATTERN    those whose name matches the glob, *PATTERN*"
	@echo "make check-all  everything on both kernels"
	@echo "make check-debug T=PATTERN  guests with a kernel that looks for mistakes (hours)"
	@echo "make check-asan T=PATTERN   guests with tools that watch their memory (ASan, UBSan)"
	@echo "make bench      beside the raw device, DRBD 8.4 and md; see selftests/bench/run"
	@echo "make bench-instructions    what a write costs, counted; 0 to 8 replicas"
	@echo "make bench-resync      how soon a replica that was away is in sync again"
	@echo "make bench-scale       by the size of a volume, and by their number"
	@echo "make bench-snapshot    snapshot and restore against zstd and qemu-img"
	@echo "make bench-views   what a view costs who writes"
	@echo "make torture MINUTES=60 SEED=S KVER=6.1    power cuts and all other faults while volumes"
	@echo "                are written to; or ROUNDS=N; FAULTS=none, KINDS=busy: see selftests/torture"
	@echo "make fuzz T=TARGET SECONDS=600    look for inputs that break a reader; without T: which"
	@echo "make install    PREFIX=$(PREFIX) DESTDIR=; the module for the running kernel"
	@echo "make clean"

deps:
	@selftests/deps

# ---- module ----

module: $(KERNELS:%=module-%)

# Two builds of one folder must not meet: sessions of a shell do not know of
# each other.
module-%: $(BLKCAST_CACHE)/kernels/%/complete
	@mkdir -p $(B)/kmod-$*
	@+flock $(B)/kmod-$*/.lock $(MAKE) $(B)/kmod-$*/blkcast.ko \
		KDIR=$(BLKCAST_CACHE)/kernels/$*/build VMLINUX=$(BLKCAST_CACHE)/kernels/$*/vmlinux

# Kbuild itself knows what is out of date.
$(B)/kmod-%/blkcast.ko: force
	@rsync -rt --delete --include='*/' --include='*.[ch]' --exclude='*' \
		kmod/ $(@D)/kmod/
	@rsync -t Kbuild $(@D)/
	@$(MAKE) -C $(KDIR) M=$(@D) W=1 KCFLAGS=-Werror \
		$(if $(filter %-debug,$*),GCOV_PROFILE=y) modules
	@selftests/lib/module-btf $@ $(VMLINUX)
	@$(if $(filter %-debug %-kcsan,$*),selftests/debug/strip-module $@)

$(BLKCAST_CACHE)/kernels/%/complete:
	$(error No kernel $* in $(BLKCAST_CACHE): run make deps)

# ---- user space ----

tools:
	@$(MAKE) -C tools O=$(B)/tools all

# For guests (see selftests/qemu/lab.sh); several tests may come to this at once. What
# UBSan finds is a trap, for ASan to report: it does not write to log_path itself.
SANITIZE := -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined \
	-fsanitize-undefined-trap-on-error
tools-asan:
	@mkdir -p $(B)/tools-asan
	@+flock $(B)/tools-asan/.lock $(MAKE) -C tools O=$(B)/tools-asan \
		CFLAGS='$(SANITIZE)' all

bpf:
	@$(MAKE) -C bpf O=$(B)/bpf all

# ---- proof ----

demo: deps
	@$(MAKE) all
	@$(MAKE) -C selftests harness
	@selftests/demo/run

check: deps
	@selftests/run $(if $(TESTS),'$(TESTS)')

# The peers are measured, not tested: nobody else needs them.
bench:
	@selftests/deps drbd-utils mdadm
	@selftests/bench/run

bench-instructions:
	@selftests/deps drbd-utils
	@selftests/bench/instructions.sh

bench-resync:
	@selftests/deps drbd-utils
	@selftests/bench/resync.sh

bench-scale:
	@selftests/deps
	@selftests/bench/scale.sh

bench-snapshot: tools
	@selftests/deps qemu-utils
	@selftests/bench/snapshot

bench-views:
	@selftests/deps
	@selftests/bench/views.sh

check-all: deps
	@selftests/run --all $(if $(TESTS),'$(TESTS)')

# VARIANT=kcsan looks for races instead of what else KASAN's kernel finds.
VARIANT ?= debug
check-debug:
	@selftests/deps bison flex
	@selftests/debug/kernel 6.12-$(VARIANT)
	@KERNELS=6.12-$(VARIANT) selftests/run --kernel 6.12-$(VARIANT) $(if $(T),'$(T)')

# See selftests/qemu/lab.sh; one test does it in every run.
check-asan: deps
	@BLKCAST_TOOLS=asan selftests/run 'guest/*$(T)'

torture: deps
	@$(MAKE) all
	@$(if $(ROUNDS),ROUNDS=$(ROUNDS)) $(if $(SEED),SEED=$(SEED)) $(if $(KVER),KVER=$(KVER)) \
		$(if $(MINUTES),MINUTES=$(MINUTES)) $(if $(KINDS),KINDS='$(KINDS)') \
		FAULTS='$(or $(FAULTS),all)' selftests/guest/torture.sh

fuzz: deps
	@selftests/fuzz/run $(T) $(SECONDS)

# ---- the rest ----

RUNNING := $(shell uname -r)
RUNNING_BUILD := /lib/modules/$(RUNNING)/build

install: tools bpf $(if $(wildcard $(RUNNING_BUILD)),install-module,install-no-module)
	$(MAKE) -C tools O=$(B)/tools PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) install
	$(MAKE) -C bpf O=$(B)/bpf PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) install

install-module:
	mkdir -p $(B)/kmod-$(RUNNING)
	$(MAKE) $(B)/kmod-$(RUNNING)/blkcast.ko KDIR=$(RUNNING_BUILD) \
		VMLINUX=/sys/kernel/btf/vmlinux
	install -D -m 644 $(B)/kmod-$(RUNNING)/blkcast.ko \
		$(DESTDIR)/lib/modules/$(RUNNING)/extra/blkcast.ko
	$(if $(DESTDIR),,depmod $(RUNNING))

install-no-module:
	@echo "No headers for the running kernel ($(RUNNING_BUILD)): its module is not installed."

clean:
	rm -rf $(B)

force:

.PHONY: all help deps module tools tools-asan bpf demo check check-all check-asan \
	check-debug torture fuzz \
	bench bench-instructions bench-resync bench-scale bench-snapshot bench-views \
	install install-module install-no-module clean force
