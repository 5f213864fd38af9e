// The heap that can fail (tests/gguf/heap_meter.h), for this program too.
#include "tests/gguf/heap_meter_test.cpp"  // NOLINT(bugprone-suspicious-include)
