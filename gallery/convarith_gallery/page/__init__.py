"""The gallery as web pages that work from disk: `exhibits` says what is shown, `page` writes the pages.

The style sheet and the script lie in assets/.
"""
