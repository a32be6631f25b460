# cprof: `make help` lists the targets. One makefile for the whole house; objects go under build/.

CC       ?= gcc
CFLAGS   ?= -O2 -g
BUILD    ?= build
prefix   ?= /usr/local

ifeq ($(origin CC),default)
CC := gcc
endif

ALL_CFLAGS := -std=gnu11 -Wall -Wextra -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter \
              -D_GNU_SOURCE -I. -I$(BUILD)/gen $(CFLAGS) $(SANITIZE)
LIBS       := -lelf -liberty -lprotobuf-c -lzstd -ldeflate -llzma -lz -lxxhash -ljson-c -lpthread -lm

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2))

# --- the rooms: every .c file below one belongs to its archive ---
ROOMS := profiler symbolizer flamegraph base
room_sources = $(shell find $(1) -name '*.c' ! -name '*.bpf.c' 2>/dev/null | sort)
room_objects = $(patsubst %.c,$(BUILD)/%.o,$(filter-out profiler/main.c,$(call room_sources,$(1))))
ARCHIVES := $(ROOMS:%=$(BUILD)/lib%.a)

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all clean help

all: $(BUILD)/cprof ## build cprof

$(BUILD)/cprof: $(BUILD)/profiler/main.o $(ARCHIVES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(BUILD)/profiler/main.o -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(LIBS)

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

# --- unit tests: tests/unit/X_test.c is one cmocka program ---
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(sort $(wildcard tests/unit/*_test.c)))

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(ARCHIVES)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $< -Wl,--start-group $(ARCHIVES) -Wl,--end-group $(LIBS) -lcmocka

.SECONDARY:
.PHONY: unit
unit: $(UNIT_TESTS) ## run the unit tests only (T=NAME: one)
	$(Q)set -e; for t in $(if $(T),$(BUILD)/tests/unit/$(T),$(UNIT_TESTS)); do echo "== $$t"; $$t; done

clean: ## remove what was built
	rm -rf $(BUILD)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
