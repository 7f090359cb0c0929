# The UEFI shell runs this file: from the first volume that has it, Septum says what is missing for TDX, and starts.
@echo -off
for %d in fs0 fs1 fs2 fs3 fs4 fs5 fs6 fs7 fs8 fs9
  if exist %d:\septum.efi then
    %d:
    septum.efi check
    septum.efi
    goto end
  endif
endfor
:end
