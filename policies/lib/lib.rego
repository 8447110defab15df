# METADATA
# scope: subpackages
# title: The policy library
# description: |
#   Rego to build policies of. A policy imports what it needs, `import data.writ.lib.edges`, and `writ policy build` and
#   `test` add the packages that are imported, and those that these import. Their text is part of the revision. A folder
#   that holds a package of that name itself keeps its own.
#
#   Every function is undefined, and so refuses, where it is given what it cannot read. What a policy knows of its callers
#   and its paths is handed in as data: no function reads a place of its own.
package writ.lib
