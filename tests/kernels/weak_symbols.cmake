# cmake -DNM=... -DOBJECTS=a.o;b.o -P weak_symbols.cmake: fails where an object defines a weak or
# unique symbol (nm's V, W and u).
if(NOT OBJECTS)
  message(FATAL_ERROR "no objects given")
endif()
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND ${NM} --defined-only ${object}
    OUTPUT_VARIABLE symbols RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${NM} ${object}: exit code ${status}")
  endif()
  string(REGEX MATCHALL "[^\n]* [VWu] [^\n]*" weak "${symbols}")
  if(weak)
    list(JOIN weak "\n" lines)
    message(SEND_ERROR "${object}: expected no weak symbols, found\n${lines}")
  endif()
endforeach()
