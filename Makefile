# cprof: `make help` lists the targets. One makefile for the whole house; objects go under build/.
# V=1 shows the commands, WERROR=1 makes warnings errors, T=NAME picks a test.

CFLAGS   ?= -O2 -g
BUILD    ?= build
prefix   ?= /usr/local
FUZZ_SECONDS ?= 30

ifeq ($(origin CC),default)
CC := gcc
endif

ALL_CFLAGS := -std=gnu11 -Wall -Wextra -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter \
              $(if $(WERROR),-Werror) -D_GNU_SOURCE -I. -I$(BUILD)/gen $(CFLAGS) $(SANITIZE)
LIBS       := -lbpf -lelf -liberty -lprotobuf-c -lzstd -ldeflate -llzma -lz -lxxhash -ljson-c -lZydis -lpthread -lm

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2))
MAKE_ALSO = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

# --- the rooms: every .c file below one belongs to its archive ---
ROOMS := profiler symbolizer flamegraph base
room_sources = $(shell find $(1) -name '*.c' ! -name '*.bpf.c' 2>/dev/null | sort)
room_objects = $(patsubst %.c,$(BUILD)/%.o,$(filter-out profiler/main.c,$(call room_sources,$(1))))
ARCHIVES := $(ROOMS:%=$(BUILD)/lib%.a)
LINK_ROOMS = -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(LIBS)

# --- demo workloads: a folder is a program, linked with what is in common/ ---
DEMOS := $(patsubst demo_workloads/%/,%,$(filter-out demo_workloads/common/,$(sort $(wildcard demo_workloads/*/))))
DEMO_PROGRAMS := $(DEMOS:%=$(BUILD)/demos/%)
DEMO_COMMON := $(patsubst %.c,$(BUILD)/%.o,$(wildcard demo_workloads/common/*.c))

.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
.SECONDEXPANSION:
.PHONY: all clean help

all: $(BUILD)/cprof $(DEMO_PROGRAMS) ## build cprof and the demo workloads

$(BUILD)/cprof: $(BUILD)/profiler/main.o $(ARCHIVES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(BUILD)/profiler/main.o $(LINK_ROOMS)

define room_rule
$(BUILD)/lib$(1).a: $(call room_objects,$(1))
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach room,$(ROOMS),$(eval $(call room_rule,$(room))))

$(BUILD)/%.o: %.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(DEMO_PROGRAMS): $(BUILD)/demos/%: $$(patsubst %.c,$(BUILD)/%.o,$$(wildcard demo_workloads/%/*.c)) $(DEMO_COMMON)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ -lpthread -lm

# --- the flame graph's page: its script and style, as C arrays ---
ASSETS := flamegraph/assets/flamegraph.js flamegraph/assets/flamegraph.css

$(BUILD)/gen/flamegraph_assets.h: flamegraph/assets/embed.sh $(ASSETS)
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)sh flamegraph/assets/embed.sh $(ASSETS) >$@

$(BUILD)/flamegraph/render/page.o: $(BUILD)/gen/flamegraph_assets.h

# --- pprof: C from its schema ---
PPROF_GEN := $(BUILD)/gen/flamegraph/formats/profile.pb-c

$(PPROF_GEN).c $(PPROF_GEN).h &: flamegraph/formats/profile.proto
	$(call say,GEN,$(PPROF_GEN).c)
	$(Q)mkdir -p $(BUILD)/gen
	$(Q)protoc-c --c_out=$(BUILD)/gen $<

$(PPROF_GEN).o: $(PPROF_GEN).c $(PPROF_GEN).h
	$(call say,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/flamegraph/formats/pprof_read.o $(BUILD)/flamegraph/formats/pprof_write.o: $(PPROF_GEN).h
$(BUILD)/libflamegraph.a: $(PPROF_GEN).o

# --- the kernel's side: X.bpf.c becomes an object for the BPF machine, and that a header that carries
# it, with its maps and constants by name. For the architectures whose registers it knows ---
BPF_ARCH  := $(if $(filter x86_64-%,$(shell $(CC) -dumpmachine)),x86)
BPF_CLANG ?= $(shell command -v clang-14 || command -v clang || echo clang)
BPFTOOL   ?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
BPF_FLAGS = -target bpf -mcpu=v3 -O2 -g -fno-jump-tables -D__TARGET_ARCH_$(BPF_ARCH) -I. \
            -idirafter /usr/include/x86_64-linux-gnu -Wall -Wextra -Wno-unused-parameter $(if $(WERROR),-Werror)
BPF_SOURCES  := $(if $(BPF_ARCH),$(wildcard profiler/bpf/*.bpf.c))
BPF_PROGRAMS := $(BPF_SOURCES:%.bpf.c=$(BUILD)/%.bpf.o)

$(BUILD)/%.bpf.o: %.bpf.c
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPF_CLANG) $(BPF_FLAGS) -MMD -MP -c -o $@ $<

# `gen object` leaves out what only debuggers read.
$(BUILD)/gen/%.skel.h: $(BUILD)/%.bpf.o
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen object $(@:.h=.o) $<
	$(Q)$(BPFTOOL) gen skeleton $(@:.h=.o) name $(notdir $*)_bpf >$@

$(BPF_SOURCES:%.bpf.c=$(BUILD)/%.o): $(BUILD)/%.o: $(BUILD)/gen/%.skel.h

$(BUILD)/tests/bpf/%: $(BUILD)/tests/bpf/%.o $(ARCHIVES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(LINK_ROOMS)

.PHONY: bpf-check
bpf-check: $(BUILD)/tests/bpf/load ## what the kernel's verifier had to do for each program, by two compilers
	$(Q)CPROF_BUILD=$(BUILD) tests/lint/bpf_check

# --- unit tests: tests/unit/X_test.c is one cmocka program ---
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(sort $(wildcard tests/unit/*_test.c)))

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(ARCHIVES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(LINK_ROOMS) $(TEST_LIBS) -lcmocka

$(BUILD)/tests/unit/unwind_table_test $(BUILD)/tests/unit/unwind_flow_test: TEST_LIBS = -ldw

.PHONY: unit
unit: $(UNIT_TESTS) ## run the unit tests only (T=NAME: one)
	$(Q)set -e; for t in $(if $(T),$(BUILD)/tests/unit/$(T),$(UNIT_TESTS)); do echo "== $$t"; $$t; done

# --- programs that tests record or read: tests/fixtures/X.c, or .cc. Its flags may stand in its first
# line, `// flags: -O2 -fomit-frame-pointer`, in place of -O2 -g ---
FIXTURES := $(patsubst tests/fixtures/%.c,$(BUILD)/tests/fixtures/%,$(wildcard tests/fixtures/*.c)) \
            $(patsubst tests/fixtures/%.cc,$(BUILD)/tests/fixtures/%,$(wildcard tests/fixtures/*.cc))
fixture_flags = $(or $(shell sed -n '1s|^// flags: *||p' $<),-O2 -g)

$(BUILD)/tests/fixtures/%: tests/fixtures/%.c
	$(call say,FIXTURE,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -I. -o $@ $< $(fixture_flags) -lpthread -lm -ldl

$(BUILD)/tests/fixtures/%: tests/fixtures/%.cc
	$(call say,FIXTURE,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CXX) -std=gnu++17 -Wall -Wextra -I. -o $@ $< $(fixture_flags) -lpthread -ldl

# --- fuzzers: tests/fuzz/X_fuzz.c. `check` runs each over its corpus, `fuzz` lets libFuzzer loose ---
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/*_fuzz.c)))

$(BUILD)/tests/replay/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/tests/fuzz/replay.o $(ARCHIVES)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LINK_ROOMS)

$(BUILD)/tests/fuzzers/%: $(BUILD)/tests/fuzz/%.o $(ARCHIVES)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $< $(LINK_ROOMS)

.PHONY: fuzz fuzzers
fuzzers: $(FUZZERS:%=$(BUILD)/tests/fuzzers/%)
fuzz: ## fuzz every reader of outside bytes, FUZZ_SECONDS=30 each (T=NAME: one)
	@scripts/install-deps build check
	$(Q)$(MAKE_ALSO) BUILD=build/fuzz CC=clang CFLAGS='-O1 -g' \
		SANITIZE='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined' fuzzers
	$(Q)tests/fuzz/run build/fuzz/tests/fuzzers $(FUZZ_SECONDS) $(T)

# --- make check ---
HAVE_CMOCKA = $(shell printf '\#include <%s>\n' stdarg.h stddef.h stdint.h setjmp.h cmocka.h | \
                $(CC) -E -x c - >/dev/null 2>&1 && echo y)
TEST_PROGRAMS = $(BUILD)/tests/bench/stacks_of $(if $(HAVE_CMOCKA),$(UNIT_TESTS)) $(FIXTURES) $(FUZZERS:%=$(BUILD)/tests/replay/%) \
                $(if $(BPF_ARCH),$(BUILD)/tests/bpf/load)

.PHONY: check check-build golden asan asan-build
check-build: $$(TEST_PROGRAMS) all
	@:
check: ## run every test this machine allows; installs what they need first (T=NAME: one)
	@scripts/install-deps build check kernels
	$(Q)$(MAKE_ALSO) check-build
	$(Q)tests/run --build $(BUILD) --only '$(T)'

.PHONY: check-kernels
check-kernels: ## record on Debian's 6.1 and 6.12 kernels in emulated machines (KERNEL=FILE: on another vmlinuz)
	@scripts/install-deps build kernels
	$(Q)$(MAKE_ALSO) all $(BUILD)/tests/fixtures/deep $(BUILD)/tests/bpf/load
	$(Q)tests/kernels/run --build $(BUILD) $(KERNEL:%=--kernel '%')

golden: all ## rewrite the golden tests' expected output and show the difference (T=NAME: one)
	$(Q)GOLDEN_UPDATE=1 tests/run --build $(BUILD) --only 'golden/$(T)'
	$(Q)git --no-pager diff --stat -p -- tests/golden

ASAN = BUILD=build/asan CFLAGS='-O1 -g -fno-omit-frame-pointer' \
       SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=undefined'
asan: ## the same tests under AddressSanitizer and UBSan, in build/asan
	@scripts/install-deps build check
	$(Q)$(MAKE_ALSO) $(ASAN) check-build
	$(Q)UBSAN_OPTIONS=print_stacktrace=1 \
		tests/run --build build/asan --kinds unit,e2e,fuzz,golden --limit 900 --only '$(T)'

TSAN = BUILD=build/tsan CFLAGS='-O1 -g -fno-omit-frame-pointer' SANITIZE='-fsanitize=thread'
.PHONY: tsan
tsan: ## tests of what runs in several threads (capture) under ThreadSanitizer, in build/tsan (T=NAME: one)
	@scripts/install-deps build check
	$(Q)$(MAKE_ALSO) $(TSAN) check-build
	$(Q)for t in $(or $(T),unit/backlog_test unit/capture_test e2e/ebpf); do \
		TSAN_OPTIONS=halt_on_error=0:exitcode=66 tests/run --build build/tsan --kinds unit,e2e --limit 900 --only $$t || exit 1; done

# --- oracles that take too long for `check` ---
$(BUILD)/tests/oracle/%: $(BUILD)/tests/oracle/%.o $(ARCHIVES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(LINK_ROOMS) -ldw

.PHONY: oracle
oracle: $(BUILD)/tests/oracle/table_oracle $(BUILD)/tests/unit/unwind_step_test ## unwind tables of every ELF file on the machine against libdw; all single-stepped programs
	$(Q)tests/oracle/elf_files / | $< -
	$(Q)CPROF_STEP_ALL=1 $(BUILD)/tests/unit/unwind_step_test

$(BUILD)/tests/bench/ticks: $(BUILD)/tests/bench/ticks.bpf.o
$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(ARCHIVES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< $(LINK_ROOMS)

.PHONY: bench quickstart
bench: ## one table and a JSON file of what cprof costs, beside its peers
	@scripts/install-deps build check bench
	$(Q)$(MAKE_ALSO) all $(FIXTURES) \
		$(patsubst tests/bench/%.c,$(BUILD)/tests/bench/%,$(filter-out %.bpf.c,$(wildcard tests/bench/*.c)))
	$(Q)tests/bench/run --build $(BUILD) $(if $(T),--only '$(T)')

quickstart: ## install what is missing, build, record a demo, say how to look at it
	@scripts/install-deps build
	$(Q)$(MAKE_ALSO) all
	$(Q)scripts/quickstart $(BUILD)

# --- the sources themselves ---
SOURCES = $(shell git ls-files '*.c' '*.h' 2>/dev/null)

.PHONY: lint format tidy compile_commands.json coverage cross
lint: all ## rules of the sources: layers, tables, man pages, warnings of a second compiler
	$(Q)tests/run --build $(BUILD) --only 'lint/$(T)'

format: ## clang-format over all sources
	clang-format-14 -i $(SOURCES)

tidy: compile_commands.json ## clang-tidy over all sources
	clang-tidy-14 --quiet $(filter-out %.bpf.c,$(filter %.c,$(SOURCES)))

compile_commands.json: ## for editors and clang-tidy
	@{ printf '['; sep=; for f in $(filter-out %.bpf.c,$(filter %.c,$(SOURCES))); do \
		printf '%s\n{"directory":"%s","file":"%s","command":"%s -c %s"}' "$$sep" '$(CURDIR)' $$f \
			'$(CC) $(ALL_CFLAGS)' $$f; sep=,; done; echo; echo ']'; } >$@

coverage: ## lines that the tests ran, a row a file, in build/coverage
	@scripts/install-deps build check
	$(Q)$(MAKE_ALSO) BUILD=build/coverage CFLAGS='-O0 -g --coverage' LDFLAGS=--coverage check-build
	$(Q)-tests/run --build build/coverage --kinds unit,e2e,fuzz,golden --only '$(T)' | tail -1
	$(Q)scripts/coverage build/coverage

CROSS = aarch64-linux-gnu-
cross: ## compile for aarch64 (compiles only: not yet run there)
	$(Q)if command -v $(CROSS)gcc >/dev/null; then \
		$(MAKE_ALSO) BUILD=build/aarch64 CC=$(CROSS)gcc CFLAGS='-O2 -g -idirafter /usr/include' cross-objects; \
	else echo "cross: skipped: $(CROSS)gcc is not installed"; fi
.PHONY: cross-objects
cross-objects: $(foreach room,$(ROOMS),$(call room_objects,$(room))) $(BUILD)/profiler/main.o \
               $(patsubst %.c,$(BUILD)/%.o,$(wildcard demo_workloads/*/*.c))
	@echo "cross: $(words $^) objects compiled by $(CC)"

# --- installing ---
bindir     = $(prefix)/bin
libexecdir = $(prefix)/libexec
mandir     = $(prefix)/share/man
MAN_PAGES  = $(wildcard docs/man/*.1)

.PHONY: install uninstall
install: all ## install under prefix=/usr/local (DESTDIR is put before it)
	install -d '$(DESTDIR)$(bindir)' '$(DESTDIR)$(mandir)/man1' '$(DESTDIR)$(libexecdir)/cprof/demos'
	install -m 755 $(BUILD)/cprof '$(DESTDIR)$(bindir)/cprof'
	$(if $(DEMO_PROGRAMS),install -m 755 $(DEMO_PROGRAMS) '$(DESTDIR)$(libexecdir)/cprof/demos')
	$(if $(MAN_PAGES),install -m 644 $(MAN_PAGES) '$(DESTDIR)$(mandir)/man1')

uninstall: ## remove what install put there
	rm -f '$(DESTDIR)$(bindir)/cprof' $(MAN_PAGES:docs/man/%='$(DESTDIR)$(mandir)/man1/%')
	rm -rf '$(DESTDIR)$(libexecdir)/cprof'

clean: ## remove what was built
	rm -rf $(BUILD)

help: ## list the targets
	@sed -n 's/^\([a-z_.-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

-include $(shell find $(patsubst %,$(BUILD)/%,$(ROOMS) tests demo_workloads) -name '*.d' 2>/dev/null)
