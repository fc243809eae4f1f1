"""The gallery as HTML pages that work from disk: one page that plays every scene, and one page per scene.

Read `page` first, which turns exhibits (a film and its texts) into files and knows nothing of scenes or layers; then
`exhibits`, which makes an exhibit of each scene and writes the whole gallery. assets/ holds the style sheet and the
script that draws and plays the films in the browser. The modules import convarith, `scenes`, `render`, `drawing` and
`atomic_file`.
"""
