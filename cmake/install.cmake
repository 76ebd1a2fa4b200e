# What `make install PREFIX=DIR` puts where.
include(GNUInstallDirs)
install(TARGETS recur_lib ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(RECUR_SHARED)
  install(TARGETS recur_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(DIRECTORY include/recur DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(EXISTS ${CMAKE_SOURCE_DIR}/README.md)
  install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
endif()

# The .pc file finds its prefix from its own place, so that the tree may be moved.
if(RECUR_BLAS STREQUAL "onednn")
  set(PC_LIBS_BLAS " -ldnnl")
elseif(RECUR_BLAS STREQUAL "cblas")
  set(PC_REQUIRES_BLAS ", openblas")
endif()
if(YAML_FOUND)
  set(PC_REQUIRES_YAML ", yaml-0.1")
endif()
file(RELATIVE_PATH PC_TO_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
string(REGEX REPLACE "/$" "" PC_TO_PREFIX "${PC_TO_PREFIX}")
configure_file(recur.pc.in ${CMAKE_BINARY_DIR}/recur.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/recur.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The manual page and the completion are made by the program from the tables behind its --help.
if(TARGET recur)
  install(TARGETS recur RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  add_custom_command(
    TARGET recur POST_BUILD
    COMMAND ${CMAKE_COMMAND} -DRECUR=${recur_program} -DOUT=${CMAKE_BINARY_DIR} -P ${CMAKE_SOURCE_DIR}/cmake/manual.cmake
    VERBATIM)
  install(FILES ${CMAKE_BINARY_DIR}/recur.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${CMAKE_BINARY_DIR}/recur.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME recur)
endif()
