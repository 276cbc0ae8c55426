"""Another package of the program: installed, watched, and put back by itself where it is no better.

    cli/update -> staging     FILE opened once, copied, checked; the installed package made sure of
               -> store       update.json: what is to be done, and how far it is
    helper     <- store       root, in a unit of its own: installs, watches, keeps or puts back
    machine    pure           which phase follows which
    health     pure           what of the agent has become worse
    packages   shell          the only door to dpkg; repack makes a package of what is installed
    program    shell          the copy of the running program, by which the helper runs
    system     shell          what the helper may do to this machine, and see of it

The daemon cannot install anything, and its stop ends everything in its sandbox: so the helper is a unit
beside it. Its only input is the state file, whoever wrote it.
"""
