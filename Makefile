# SPDX-License-Identifier: BSD-2-Clause
#
# The targets people use: make, deps, lab, test, bench (bench-NAME), fuzz, install, format-check.
#   V=          (empty) shows whole command lines
#   B=dir       where everything is built (default build)
#   SAN=asan    AddressSanitizer + UBSan;  SAN=tsan  ThreadSanitizer;  SAN=fuzz  libFuzzer (clang)
#
# A room (folder) becomes one static library, $(B)/lib<room>.a; every .c in it belongs to it.

B ?= build
V ?= @
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
PKG_CONFIG ?= pkg-config
PREFIX ?= /usr/local
UNITDIR ?= $(PREFIX)/lib/systemd/system
VERSION := 0.1.0

CP_ROOMS := loop config filter bgp rib export fib proto bfd cli rpki bmp mrt http
SAN_FLAGS_asan := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SAN_FLAGS_tsan := -fsanitize=thread -fno-omit-frame-pointer
SAN_FLAGS_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SANF := $(SAN_FLAGS_$(SAN))
ifeq ($(SAN),fuzz)
CC := $(CLANG)
# They compare slots, words and times, nothing that an input could be made for: tracing that cost half of the time.
$(foreach f,bfd/engine bfd/transmit bfd/pacer bfd/detect shared/linkstate,$(B)/obj/$(f).o): SANF += -fno-sanitize-coverage=trace-cmp
endif

# $(call needs,goal ...) so that `make deps` and `make clean` work before the libraries are installed.
pkg = $(shell $(PKG_CONFIG) $(1) 2>/dev/null)
OPT ?= -O2
WARN := -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wvla -Wno-unused-parameter -Werror
CPPFLAGS += -I. -D_GNU_SOURCE -DPEREGRINE_VERSION='"$(VERSION)"' -MMD -MP
CFLAGS += -std=gnu17 -g $(OPT) $(WARN) $(SANF) -pthread -fno-strict-aliasing
CFLAGS_NL := $(call pkg,--cflags libnl-3.0 libnl-route-3.0)
LDLIBS_NL := $(call pkg,--libs libnl-3.0 libnl-route-3.0)
# -march for DPDK comes from its .pc file and stays in the dataplane alone.
CFLAGS_DPDK = $(call pkg,--cflags libdpdk libbpf) -DALLOW_EXPERIMENTAL_API
LDLIBS_DPDK = $(call pkg,--libs libdpdk libbpf)
LDLIBS_CP := -lurcu-memb -lurcu-common -lurcu-cds -lev -lxxhash -lcrypto $(LDLIBS_NL) -pthread -lm

rwildcard = $(foreach d,$(wildcard $(1)/*),$(call rwildcard,$(d),$(2)) $(filter $(subst *,%,$(2)),$(d)))
objs = $(patsubst %.c,$(B)/obj/%.o,$(1))

SHARED_SRC := $(wildcard shared/*.c)
BFD_SRC := $(wildcard bfd/*.c)
DP_SRC := $(filter-out dataplane/main.c,$(wildcard dataplane/*.c))
CP_LIBS := $(foreach r,$(CP_ROOMS),$(if $(wildcard controlplane/$(r)/*.c),$(B)/libcp-$(r).a))

PROGRAMS := $(B)/peregrined $(B)/peregrine-dp $(B)/peregrinec
PROGRAMS += $(if $(wildcard tools/bfdgen/*.c),$(B)/peregrine-bfdgen) $(if $(wildcard tools/bgpgen/*.c),$(B)/peregrine-bgpgen)

.PHONY: all clean deps lab test unit bench fuzz install format format-check check-comments
all: $(PROGRAMS) $(B)/bfd_filter.bpf.o

$(B)/obj/dataplane/%.o: CFLAGS += $(CFLAGS_DPDK)
$(B)/obj/tools/bfdgen/%.o: CFLAGS += $(CFLAGS_DPDK)
$(B)/obj/controlplane/%.o: CFLAGS += $(CFLAGS_NL)
$(B)/obj/tests/unit/dataplane_%.o: CFLAGS += $(CFLAGS_DPDK)
$(B)/obj/tests/%.o: CFLAGS += $(CFLAGS_NL)
$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo '  CC    $<'
	$(V)$(CC) $(CPPFLAGS) $(CFLAGS) -c $< -o $@

define archive
@mkdir -p $(@D)
@rm -f $@
@ar rcs $@ $^
endef
$(B)/libshared.a: $(call objs,$(SHARED_SRC)) ; $(archive)
$(B)/libbfd.a: $(call objs,$(BFD_SRC)) ; $(archive)
$(B)/libdataplane.a: $(call objs,$(DP_SRC)) ; $(archive)
$(B)/libbgpgen.a: $(call objs,$(filter-out tools/bgpgen/main.c,$(wildcard tools/bgpgen/*.c))) ; $(archive)
$(B)/libbfdgen.a: $(call objs,$(filter-out tools/bfdgen/main.c,$(wildcard tools/bfdgen/*.c))) ; $(archive)
define cp_room
$(B)/libcp-$(1).a: $(call objs,$(wildcard controlplane/$(1)/*.c)) ; $$(archive)
endef
$(foreach r,$(CP_ROOMS),$(eval $(call cp_room,$(r))))

$(B)/peregrined: $(call objs,$(wildcard controlplane/*.c)) $(CP_LIBS) $(B)/libbfd.a $(B)/libshared.a
	@echo '  LD    $@'
	$(V)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS_CP)
$(B)/peregrine-dp: $(B)/obj/dataplane/main.o $(B)/libdataplane.a $(B)/libbfd.a $(B)/libshared.a
	@echo '  LD    $@'
	$(V)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS_DPDK) $(LDLIBS_NL) -lurcu-qsbr -lurcu-common -lxxhash -lcrypto -pthread
$(B)/peregrinec: $(call objs,$(wildcard client/*.c)) $(B)/libshared.a
	@echo '  LD    $@'
	$(V)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -ledit
$(B)/peregrine-bfdgen: $(B)/obj/tools/bfdgen/main.o $(B)/libbfdgen.a $(B)/libdataplane.a $(B)/libbfd.a $(B)/libshared.a
	@echo '  LD    $@'
	$(V)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS_DPDK) $(LDLIBS_NL) -lurcu-qsbr -lurcu-common -lxxhash -lcrypto -pthread -lm
$(B)/peregrine-bgpgen: $(B)/obj/tools/bgpgen/main.o $(B)/libbgpgen.a $(B)/libshared.a
	@echo '  LD    $@'
	$(V)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^
$(B)/bfd_filter.bpf.o: dataplane/xdp/bfd_filter.bpf.c
	@mkdir -p $(@D)
	@echo '  BPF   $@'
	$(V)$(CLANG) -O2 -g -Wall -Werror -target bpf -I. -I/usr/include/$(shell gcc -print-multiarch 2>/dev/null) -c $< -o $@

# Unit tests: tests/unit/<room>_<what>_test.c, one program each, linked with the libraries its room may use.
UNIT_shared := shared
UNIT_bfd := bfd shared
UNIT_dataplane := dataplane bfd shared
UNIT_bfdgen := bfdgen bfd shared
UNIT_bgpgen := bgpgen shared
UNIT_config := cp-config cp-filter cp-rib shared
UNIT_filter := cp-filter cp-config cp-rib shared
UNIT_bgp := cp-loop cp-mrt cp-bmp cp-bgp cp-export cp-rib cp-filter cp-config shared
UNIT_rib := cp-loop cp-rib cp-export cp-filter cp-config shared
UNIT_export := cp-loop cp-mrt cp-bmp cp-export cp-rib cp-filter cp-config cp-bgp shared
UNIT_fib := cp-loop cp-mrt cp-bmp cp-fib cp-bfd bfd cp-export cp-bgp cp-rib cp-filter cp-config shared
UNIT_loop := cp-loop shared
UNIT_proto := cp-loop cp-mrt cp-bmp cp-rpki cp-proto cp-cli cp-bfd cp-fib cp-bgp cp-export cp-rib cp-filter cp-config bfd shared
UNIT_cli := $(UNIT_proto)
UNIT_rpki := cp-loop cp-rpki cp-mrt cp-bmp cp-proto cp-cli cp-bfd cp-fib cp-bgp cp-export bfd cp-rib cp-filter cp-config shared
UNIT_cpbfd := cp-loop cp-bfd cp-fib cp-rib cp-filter cp-config bfd shared
unit_room = $(firstword $(subst _, ,$(notdir $(1))))
unit_libs = $(foreach l,$(UNIT_$(call unit_room,$(1))),$(if $(filter cp-%,$(l)),$(if $(wildcard controlplane/$(l:cp-%=%)/*.c),$(B)/lib$(l).a),$(B)/lib$(l).a))
UNIT_SRC := $(wildcard tests/unit/*_test.c)
UNIT_BIN := $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SRC))
.SECONDEXPANSION:
$(B)/unit/%: $(B)/obj/tests/unit/%.o $$(call unit_libs,$$*)
	@mkdir -p $(@D)
	@echo '  LD    $@'
	$(V)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -lcmocka $(LDLIBS_CP) $(if $(filter dataplane,$(call unit_room,$*)),$(LDLIBS_DPDK) -lurcu-qsbr)
# The kernel runs the XDP program on frames of the test.
$(B)/unit/dataplane_filter_test: | $(B)/bfd_filter.bpf.o
# make unit [ROOM=bgp | TESTS="bgp_message_test ..."]: builds and runs; one line for each program, its output when it fails.
unit: $(if $(TESTS),$(TESTS:%=$(B)/unit/%),$(if $(ROOM),$(filter $(B)/unit/$(ROOM)_%,$(UNIT_BIN)),$(UNIT_BIN)))
	@scripts/run-unit.sh $^

# Fuzzers: tests/fuzz/<room>_<what>_fuzz.c, libraries as the unit tests of the room.
FUZZ_SRC := $(wildcard tests/fuzz/*_fuzz.c)
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_SRC))
$(B)/fuzz/%: $(B)/obj/tests/fuzz/%.o $$(call unit_libs,$$*)
	@mkdir -p $(@D)
	@echo '  LD    $@'
	$(V)$(CC) $(CFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS_CP)
fuzz-bin: $(FUZZ_BIN)

# Test tools and benchmarks that need our libraries: tests/tools/<room>_<what>.c, tests/bench/<room>_<what>_bench.c.
$(B)/tools/%: $(B)/obj/tests/tools/%.o $$(call unit_libs,$$*)
	@mkdir -p $(@D)
	@echo '  LD    $@'
	$(V)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS_CP)
$(B)/bench/%: $(B)/obj/tests/bench/%.o $$(call unit_libs,$$*)
	@mkdir -p $(@D)
	@echo '  LD    $@'
	$(V)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(if $(filter fib_%,$*),-lcmocka) $(LDLIBS_CP)

FUZZ_SECONDS ?= 60
fuzz:
	$(MAKE) B=$(B)/fuzzing SAN=fuzz fuzz-bin
	@scripts/run-fuzz.sh $(B)/fuzzing/fuzz $(FUZZ_SECONDS)

deps:
	scripts/deps.sh
JOBS := $(shell nproc 2>/dev/null || echo 1)
# lab and test bring their own set-up; the inner make sees the libraries that deps has just installed.
lab: deps
	$(MAKE) -j$(JOBS) all
	PEREGRINE_BUILD=$(abspath $(B)) scripts/lab.sh
test: deps
	B=$(B) scripts/test.sh
bench: deps
	$(MAKE) -j$(JOBS) all
	PEREGRINE_BUILD=$(abspath $(B)) scripts/bench.sh
# One of them: make bench-bfd BENCH_ARGS=--full
bench-%: deps
	$(MAKE) -j$(JOBS) all
	PEREGRINE_BUILD=$(abspath $(B)) scripts/bench.sh $* $(BENCH_ARGS)

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/peregrine $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 755 $(B)/peregrined $(B)/peregrine-dp $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 $(filter-out $(B)/peregrined $(B)/peregrine-dp,$(PROGRAMS)) $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(B)/bfd_filter.bpf.o $(DESTDIR)$(PREFIX)/lib/peregrine/
	install -d $(DESTDIR)$(UNITDIR)
	for u in peregrined peregrine-dp; do sed 's|@PREFIX@|$(PREFIX)|g' dist/$$u.service >$(DESTDIR)$(UNITDIR)/$$u.service; done
	install -m 644 $(wildcard docs/man/*.8) $(DESTDIR)$(PREFIX)/share/man/man8/

FORMAT_SRC = $(shell git ls-files '*.c' '*.h')
format:
	clang-format -i $(FORMAT_SRC)
format-check:
	clang-format --dry-run -Werror $(FORMAT_SRC)

clean:
	rm -rf $(B)

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
