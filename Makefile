# make run     install what is needed, build, start nginx on the default model
# make test    install what is needed, build, run all tests
# The rest is listed by `make help`.

BUILD   ?= build
CC      ?= cc
CFLAGS  ?= -O2 -g
PORT    ?= 8080

ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc) --no-print-directory
endif

WARN    := -Wall -Wextra -Wshadow -Wvla -Werror
# No contraction: a fused multiply-add stands where the source says so, and
# nowhere else, or the instruction sets would not agree to the bit.
ENGINE_CFLAGS := -std=c11 -D_GNU_SOURCE -fPIC -ffp-contract=off \
                 -fvisibility=hidden $(WARN) -Iengine
LIBS    := -ljansson -lopenblas -lz -lm -lpthread

PACKAGES_BUILD  := gcc libc6-dev nginx nginx-dev libstb-dev libopenblas-dev \
                   libjansson-dev zlib1g-dev
PACKAGES_TEST   := perl libtest-base-perl curl libonnx-testdata \
                   dataset-fashion-mnist
PACKAGES_MODELS := python3 python3-torch python3-torchvision python3-onnx \
                   python3-numpy python3-pil libjpeg-turbo-progs \
                   lomiri-wallpapers-16.04 opencv-doc chromium
PACKAGES_BENCH  := python3-fastapi uvicorn python3-uvloop python3-httptools \
                   python3-multipart

# SAN=1: the same with AddressSanitizer and UndefinedBehaviorSanitizer.
ifdef SAN
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined
override BUILD  := $(BUILD)/san
override CFLAGS := -O1 -g -fno-omit-frame-pointer $(SANFLAGS)
PRELOAD  := $(shell $(CC) -print-file-name=libasan.so):$(shell \
            $(CC) -print-file-name=libubsan.so)
export ASAN_OPTIONS := detect_leaks=1:abort_on_error=1
export TEST_NGINX_LD_PRELOAD := $(PRELOAD)
endif

ENGINE_SRC := $(filter-out engine/cli/%,\
              $(wildcard engine/*/*.c engine/*/*/*.c))
CLI_SRC    := $(wildcard engine/cli/*.c)
MODULE_SRC := $(wildcard ngx_infer_module/*.c ngx_infer_module/*.h)
UNIT_SRC   := $(wildcard t/engine/*.c)
BENCH_SRC  := $(wildcard t/bench/*.c)

ENGINE_OBJ := $(ENGINE_SRC:%.c=$(BUILD)/obj/%.o)
CLI_OBJ    := $(CLI_SRC:%.c=$(BUILD)/obj/%.o)
UNIT       := $(UNIT_SRC:t/engine/%.c=$(BUILD)/t/%)
BENCH      := $(BENCH_SRC:t/bench/%.c=$(BUILD)/bench/%)

MODULE     := $(BUILD)/nginx/ngx_http_infer_module.so
NGINX_SRC  := /usr/share/nginx/src

# Installs the packages of a list that are not there.
define install
	@missing=$$(for p in $(1); do \
	    [ "$$(dpkg-query -Wf '$${db:Status-Status}' $$p 2>/dev/null)" \
	      = installed ] || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	    sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    $$sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive \
	    $$sudo apt-get install -qy --no-install-recommends $$missing; \
	fi
endef

# The tools of a package that may as well be there without it.
define install_command
	@command -v $(1) >/dev/null || { \
	    sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    $$sudo apt-get update -q && DEBIAN_FRONTEND=noninteractive \
	    $$sudo apt-get install -qy --no-install-recommends $(2); }
endef


.PHONY: all engine cli module page unit run test test-asan test-all \
        test-models test-static soak soak-run fuzz fuzz-all bench \
        bench-models bench-server bench-tools packages \
        packages-test packages-models packages-bench clean help FORCE
.SECONDARY:

all: cli module

help:
	@echo 'make run          install, build, start nginx (PORT=8080)'
	@echo 'make test         install, build, run all tests'
	@echo 'make all          build build/infer and the nginx module'
	@echo 'make test-asan    the tests under AddressSanitizer and UBSan'
	@echo 'make test-models  compare with ONNX Runtime, PyTorch and PIL'
	@echo 'make test-static  build into an nginx source tree: TREE=DIR'
	@echo 'make soak         overload, reloads, crashes, upgrades, lost nodes under'
	@echo '                  load: SOAK_SECONDS=60 each'
	@echo 'make fuzz         broken files: FUZZ_SECONDS=60 for each format'
	@echo 'make bench        against ONNX Runtime and FastAPI (20 minutes;'
	@echo '                  BENCH_SHORT=1: 5); bench-models, bench-server:'
	@echo '                  one part'
	@echo 'make clean        remove build/'

packages:
	$(call install,$(PACKAGES_BUILD))

packages-test: packages
	$(call install,$(PACKAGES_TEST))

# The package would start a server: only its promtool is taken.
$(BUILD)/promtool:
	@mkdir -p $(@D)/prometheus
	@cd $(@D)/prometheus && apt-get download -q prometheus \
	    && dpkg-deb -x prometheus_*.deb .
	@mv $(@D)/prometheus/usr/bin/promtool $@
	@rm -r $(@D)/prometheus

# Only its photographs are taken: the package would bring half of SciPy.
$(BUILD)/skimage:
	@mkdir -p $@.deb
	@cd $@.deb && apt-get download -q python3-skimage \
	    && dpkg-deb -x python3-skimage_*.deb .
	@mv $@.deb/usr/lib/python3/dist-packages/skimage/data $@
	@rm -r $@.deb

packages-models: packages-test
	$(call install,$(PACKAGES_MODELS))
	$(call install_command,npm,nodejs npm)

packages-bench: packages-models
	$(call install,$(PACKAGES_BENCH))


# ---- engine and command line ----------------------------------------------

engine: $(BUILD)/libinfer.a

cli: $(BUILD)/infer

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	@echo '  CC    $<'
	@$(CC) $(ENGINE_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libinfer.a: $(ENGINE_OBJ)
	@echo '  AR    $@'
	@rm -f $@
	@ar rcs $@ $^

$(BUILD)/infer: $(CLI_OBJ) $(BUILD)/libinfer.a
	@echo '  LINK  $@'
	@$(CC) $(CFLAGS) -o $@ $^ $(LIBS)


# ---- nginx module ----------------------------------------------------------

module: $(MODULE)

# The page of infer_status, in C; kept in the tree, so that nginx's own build
# needs no perl.
page:
	perl ngx_infer_module/page.pl ngx_infer_module/status.html \
	    > ngx_infer_module/ngx_http_infer_page_html.c

# The list of sources; its time changes only when it does.
$(BUILD)/sources: FORCE
	@mkdir -p $(@D)
	@echo '$(ENGINE_SRC) $(MODULE_SRC)' | cmp -s - $@ \
	    || echo '$(ENGINE_SRC) $(MODULE_SRC)' > $@

# nginx's own build, out of tree: configured anew when the list of sources
# changes, then left to nginx's makefile.
$(BUILD)/nginx/Makefile: config Makefile $(BUILD)/sources
	@mkdir -p $(@D)
	@echo '  CONF  $@'
	@cd $(NGINX_SRC) && . ./conf_flags && bash ./configure \
	    --with-cc-opt='$(CFLAGS) -fPIC' --with-ld-opt='-fPIC $(SANFLAGS)' \
	    "$${NGX_CONF_FLAGS[@]}" --add-dynamic-module='$(CURDIR)' \
	    --builddir='$(abspath $(BUILD))/nginx' > $(abspath $@).log \
	    || { cat $(abspath $@).log; exit 1; }

$(BUILD)/nginx/Makefile: SHELL := bash

$(MODULE): $(BUILD)/nginx/Makefile $(ENGINE_SRC) $(MODULE_SRC) \
           $(wildcard engine/*.h engine/*/*.h engine/*/*/*.h)
	@echo '  NGINX $@'
	@$(MAKE) -s -f $(abspath $(BUILD))/nginx/Makefile -C $(NGINX_SRC) modules
	@touch $@

# The module inside nginx: TREE names an nginx source tree.
test-static: packages-test
	cd '$(TREE)' && $$([ -x configure ] && echo ./configure \
	    || echo auto/configure) --add-module='$(CURDIR)' --with-threads \
	    --with-http_v2_module --builddir='$(abspath $(BUILD))/static'
	$(MAKE) -C '$(TREE)' -f '$(abspath $(BUILD))/static/Makefile'
	TEST_NGINX_BINARY='$(abspath $(BUILD))/static/nginx' \
	    prove t/predict.t t/errors.t


# ---- run -------------------------------------------------------------------

run: packages
	@$(MAKE) all
	@BUILD='$(BUILD)' PORT='$(PORT)' conf/run.sh


# ---- tests -----------------------------------------------------------------

$(BUILD)/t/%: t/engine/%.c $(wildcard t/engine/*.h) $(BUILD)/libinfer.a
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	@$(CC) $(ENGINE_CFLAGS) $(CFLAGS) -It/engine -o $@ $< \
	    $(BUILD)/libinfer.a $(LIBS)

unit: $(UNIT)
	prove -e '' $(UNIT)

test: packages-test
	@$(MAKE) test-all

test-asan: packages-test
	@$(MAKE) SAN=1 test-all

test-all: all $(UNIT) $(BUILD)/promtool
	prove --timer -e '' $(UNIT)
	INFER='$(abspath $(BUILD))/infer' \
	PROMTOOL='$(abspath $(BUILD))/promtool' \
	TEST_NGINX_LOAD_MODULES='$(abspath $(MODULE))' \
	    prove --timer t/*.t t/soak/*.t

# The scenarios of t/soak for as long as SOAK_SECONDS says (make test has some
# seconds of each); clients that leave are for the sanitizers to watch.
SOAK_SECONDS ?= 60

soak: packages-test
	@$(MAKE) soak-run \
	    SOAK='$(filter-out t/soak/clients.t,$(wildcard t/soak/*.t))'
	@$(MAKE) SAN=1 soak-run SOAK=t/soak/clients.t

soak-run: module
	SOAK_SECONDS='$(SOAK_SECONDS)' \
	TEST_NGINX_LOAD_MODULES='$(abspath $(MODULE))' \
	    prove --timer $(SOAK)

test-models: packages-models
	@$(MAKE) all $(BUILD)/skimage $(BUILD)/t/drift
	t/models/run.sh '$(BUILD)'


# ---- broken files ----------------------------------------------------------

FUZZ_SECONDS ?= 60

# What each target starts from.
FUZZ_ONNX  = $(wildcard /usr/share/libonnx-testdata/data/*/*/model.onnx)
FUZZ_TORCH = $(wildcard ../shared/models/fashion/*.pt)
FUZZ_IMAGE = $(wildcard t/data/images/*.* t/data/fashion/*.*)

fuzz: packages-test
	@$(MAKE) SAN=1 fuzz-all

fuzz-all: $(BUILD)/fuzz/file $(BUILD)/fuzz/onnx $(BUILD)/fuzz/torch \
          $(BUILD)/fuzz/image
	@$(BUILD)/fuzz/file $(FUZZ_SECONDS)
	@$(BUILD)/fuzz/onnx $(FUZZ_SECONDS) $(FUZZ_ONNX)
	@$(BUILD)/fuzz/torch $(FUZZ_SECONDS) $(FUZZ_TORCH)
	@$(BUILD)/fuzz/image $(FUZZ_SECONDS) $(FUZZ_IMAGE)

$(BUILD)/fuzz/%: t/fuzz/%.c t/fuzz/fuzz.h t/engine/sample.h \
                 $(BUILD)/libinfer.a
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	@$(CC) $(ENGINE_CFLAGS) $(CFLAGS) -It/engine -It/fuzz -o $@ $< \
	    $(BUILD)/libinfer.a $(LIBS)


# ---- benchmarks ------------------------------------------------------------

# BENCH_SHORT=1 takes 5 minutes; BENCH_MODELS, BENCH_ROUNDS (t/bench/models.py)
# and BENCH_SECONDS (t/bench/server.py) choose themselves.
ifdef BENCH_SHORT
BENCH_MODELS  ?= resnet18 resnet50 mobilenet_v2 efficientnet_b0
BENCH_ROUNDS  ?= 8
BENCH_SECONDS ?= 2
endif
export BENCH_MODELS BENCH_ROUNDS BENCH_SECONDS

$(BUILD)/bench/%: t/bench/%.c $(filter-out %/main.o,$(CLI_OBJ)) \
                  $(BUILD)/libinfer.a
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	@$(CC) $(ENGINE_CFLAGS) $(CFLAGS) -o $@ $^ $(LIBS)

bench-tools: all $(BENCH)

# One after the other: two measurements at a time would be none.
bench: packages-bench
	@$(MAKE) bench-models
	@$(MAKE) bench-server

bench-models bench-server: bench-%: packages-bench
	@$(MAKE) bench-tools
	@t/models/prepare.sh '$(BUILD)'
	@NODE_PATH='$(BUILD)/models/node/node_modules' \
	    /usr/bin/python3 t/bench/$*.py '$(BUILD)'

clean:
	rm -rf build t/servroot*

-include $(ENGINE_OBJ:.o=.d) $(CLI_OBJ:.o=.d)
