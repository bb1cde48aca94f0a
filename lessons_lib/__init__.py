"""The helpers of the course: eight executable lessons, from one scalar to a GPT.

A place to look things up. Each module holds one idea, and its docstring names the lesson that builds the idea in the open.
Nothing is imported here, so `import lessons_lib.autograd` does not wait for torch or matplotlib.
"""
