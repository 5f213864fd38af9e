# How a folder under src/ becomes a library, and the flags every file is compiled with.

find_package(Threads REQUIRED)

# fmt, CLI11 and Boost.JSON are used from their headers (src/base/fmt.cpp compiles what fmt leaves
# to a library): the program then carries them inside and needs nothing but the system's glibc. A
# cross build borrows the host's headers, which are the same.
add_library(reckon_flags INTERFACE)
target_compile_definitions(reckon_flags INTERFACE RECKON_VERSION="${PROJECT_VERSION}")
target_compile_options(reckon_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Werror=return-type
  # g++ 12 warns of overlapping copies in std::string operator+ where none can be (GCC bug 105651).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
  # Principle 1: one order of float operations, so no contraction and no reassociation.
  -ffp-contract=off -fno-fast-math -fno-math-errno
  $<$<NOT:$<CONFIG:Debug>>:-g1>)
target_include_directories(reckon_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
if(RECKON_SANITIZE)
  target_compile_options(reckon_flags INTERFACE
    -fsanitize=${RECKON_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(reckon_flags INTERFACE -fsanitize=${RECKON_SANITIZE})
endif()
if(RECKON_FUZZ)
  target_compile_options(reckon_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
target_link_libraries(reckon_flags INTERFACE Threads::Threads)

function(reckon_library name)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  set(deps ${ARGN})
  list(TRANSFORM deps PREPEND reckon_)
  if(sources)
    add_library(reckon_${name} STATIC ${sources})
    target_link_libraries(reckon_${name} PUBLIC reckon_flags ${deps})
  else()
    add_library(reckon_${name} INTERFACE)
    target_link_libraries(reckon_${name} INTERFACE reckon_flags ${deps})
  endif()
endfunction()

# kernels/: one object library an instruction set, each compiled for that set alone; the table in
# kernels/*.cpp picks one when the program starts.
function(reckon_isa_objects isa)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/kernels/${isa}/*.cpp)
  if(sources)
    add_library(reckon_kernels_${isa} OBJECT ${sources})
    target_link_libraries(reckon_kernels_${isa} PRIVATE reckon_flags)
    target_compile_options(reckon_kernels_${isa} PRIVATE -fno-exceptions -fno-rtti ${ARGN})
    target_sources(reckon_kernels PRIVATE $<TARGET_OBJECTS:reckon_kernels_${isa}>)
  endif()
endfunction()

function(reckon_kernels_library)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/kernels/*.cpp)
  if(NOT sources)
    add_library(reckon_kernels INTERFACE)
    target_link_libraries(reckon_kernels INTERFACE reckon_flags reckon_quants)
    return()
  endif()
  add_library(reckon_kernels STATIC ${sources})
  target_link_libraries(reckon_kernels PUBLIC reckon_flags reckon_quants)
  reckon_isa_objects(scalar)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    reckon_isa_objects(avx2 -mavx2 -mfma -mf16c)
    # g++ 12's own avx512 headers set off these two (GCC bug 105593).
    set(avx512 -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni
      $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized$<SEMICOLON>-Wno-maybe-uninitialized>)
    reckon_isa_objects(avx512 ${avx512})
    reckon_isa_objects(avx512_bf16 ${avx512} -mavx512bf16)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    reckon_isa_objects(neon -march=armv8.2-a+dotprod)
  endif()
endfunction()

# store/: with OpenSSL linked in, and the catalog's text as a source. Without OpenSSL (in a cross
# build) there is none.
function(reckon_store_library)
  set(OPENSSL_USE_STATIC_LIBS TRUE)
  find_package(OpenSSL 3.0)
  if(NOT OPENSSL_FOUND OR CMAKE_CROSSCOMPILING)
    if(RECKON_CLI)
      message(FATAL_ERROR "OpenSSL 3 is missing: `sh tools/setup.sh packages` installs libssl-dev")
    endif()
    return()
  endif()
  reckon_library(store gguf)
  set(catalog ${PROJECT_SOURCE_DIR}/src/store/catalog.json)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${catalog})
  file(READ ${catalog} text)
  set(source ${CMAKE_BINARY_DIR}/catalog_json.cpp)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"namespace reckon {
extern const char* const kCatalogJson;
const char* const kCatalogJson = R\"json(@text@)json\";
}  // namespace reckon
")
  target_sources(reckon_store PRIVATE ${source})
  target_link_libraries(reckon_store PRIVATE OpenSSL::SSL OpenSSL::Crypto)
endfunction()
