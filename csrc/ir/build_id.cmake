# cmake -DROOT=<csrc> -DFLAGS=<text> -DOUTPUT=<file> -P build_id.cmake
# Writes a C++ string: the SHA-256 of every source below ROOT, by name and content, and of the flags they
# are compiled with. Not of the binary: that differs from machine to machine.
file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/*.cc ${ROOT}/*.h ${ROOT}/*.txt ${ROOT}/*.cmake)
set(text "${FLAGS}\n")
foreach(name IN LISTS files)
  file(SHA256 ${ROOT}/${name} digest)
  string(APPEND text "${name} ${digest}\n")
endforeach()
string(SHA256 id "${text}")
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "\"${id}\"\n" @ONLY)
