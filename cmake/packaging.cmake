# What `make install` and the .deb hold: the program, its manual page, completions for shells, and
# the licences of what is linked in. Included after src/cli, when the program is built.
include(GNUInstallDirs)

set_target_properties(reckon PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(doc_dir ${CMAKE_INSTALL_DATADIR}/doc/reckon)
set(packaged ${CMAKE_BINARY_DIR}/packaged)

# The texts that the licences of linked-in libraries ask to go along with the program: as the
# distribution's packages state them. (Boost's and the C++ runtime's ask for none.)
file(READ ${PROJECT_SOURCE_DIR}/LICENSE copyright)
string(PREPEND copyright "reckon\n======\n\n")
foreach(package libfmt-dev libcli11-dev libedit-dev libssl-dev libbsd-dev libmd-dev
    libncurses-dev)
  if(EXISTS /usr/share/doc/${package}/copyright)
    file(READ /usr/share/doc/${package}/copyright text)
    string(APPEND copyright "\n\nLinked in, from ${package}\n======\n\n${text}")
  else()
    message(STATUS "no licence text of ${package} to put into a package")
  endif()
endforeach()
string(APPEND copyright "\n\nThe page's libraries: licenses.txt.gz beside this file\n")
file(WRITE ${packaged}/copyright "${copyright}")
install(FILES ${PROJECT_SOURCE_DIR}/web/dist/licenses.txt.gz DESTINATION ${doc_dir})
install(FILES ${packaged}/copyright DESTINATION ${doc_dir})

# Debian's policy wants the changelog and manual pages compressed, without a time in them.
string(TIMESTAMP today "%a, %d %b %Y 00:00:00 +0000" UTC)
set(maintainer "The reckon authors <authors@reckon.example>")
file(WRITE ${packaged}/changelog
  "reckon (${PROJECT_VERSION}) stable; urgency=medium\n\n"
  "  * See the project's own history.\n\n -- ${maintainer}  ${today}\n")
function(reckon_install_compressed source destination)
  get_filename_component(name ${source} NAME)
  add_custom_command(OUTPUT ${packaged}/${name}.gz
    COMMAND gzip -9nc ${source} > ${packaged}/${name}.gz DEPENDS ${source} VERBATIM)
  add_custom_target(compressed_${name} ALL DEPENDS ${packaged}/${name}.gz)
  install(FILES ${packaged}/${name}.gz DESTINATION ${destination})
endfunction()
reckon_install_compressed(${packaged}/changelog ${doc_dir})

# The server for systemd and for a desktop's menu; its manual.
install(FILES ${PROJECT_SOURCE_DIR}/packaging/reckon.service DESTINATION lib/systemd/system)
install(FILES ${PROJECT_SOURCE_DIR}/packaging/reckon.desktop
  DESTINATION ${CMAKE_INSTALL_DATADIR}/applications)
install(FILES ${PROJECT_SOURCE_DIR}/docs/server.md DESTINATION ${doc_dir})

install(TARGETS reckon RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME reckon)
set(CPACK_PACKAGE_CONTACT "${maintainer}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "run reasoning models on an ordinary computer")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"reckon answers questions with the DeepSeek-R1 distills and other qwen2 and
llama models in GGUF files, on the processor alone: one program without a
service, with the same answer to the last bit on every processor.")
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
include(CPack)
